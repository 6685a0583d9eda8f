#include "train/sharding/shards.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "core/error.h"
#include "core/hash.h"
#include "model/device/library_table.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/host_memory.h"
#include "train/sharding/adamw.h"

namespace retrace::train {
namespace {

constexpr int64_t kGrain = 1 << 16;

uint16_t* bf16_data(const at::Tensor& t) {
  return static_cast<uint16_t*>(t.mutable_data_ptr());
}

// One AdamW step over a range, where the tensors are.
void update(bool gpu, const AdamWStep& adam, float keep, int64_t n, float* master, float* exp_avg,
            float* exp_avg_sq, const float* gradient, uint16_t* weights) {
  if (gpu)
    return model::cuda_library().optimizer->adamw(adam, keep, nullptr, n, master, exp_avg, exp_avg_sq,
                                                  gradient, weights);
  model::parallel_rows(n, kGrain, [&](int64_t from, int64_t to) {
    adamw_update(adam, keep, to - from, master + from, exp_avg + from, exp_avg_sq + from, gradient + from,
                 weights ? weights + from : nullptr);
  });
}

}  // namespace

Sharding parse_sharding(const std::string& name) {
  if (name == "zero3") return Sharding::zero3;
  if (name == "zero2") return Sharding::zero2;
  if (name == "hsdp") return Sharding::hsdp;
  if (name == "zero1-accumulate") return Sharding::zero1_accumulate;
  throw Error(Code::recipe, fmt::format("unknown sharding '{}'", name),
              "use zero3, zero2, hsdp or zero1-accumulate", "train.sharding");
}

Shards::Shards(const FlatLayout& layout, Sharding sharding, bool bf16, Collectives& collectives,
               c10::Device device, Collectives* replicas)
    : layout_(layout),
      sharding_(sharding),
      bf16_(bf16),
      collectives_(collectives),
      replicas_(replicas),
      device_(device) {
  const int rank = collectives.rank(), world = collectives.size();
  for (int u = 0; u < layout_.num_units(); ++u) {
    const int64_t n = elements(u);
    UnitShard shard;
    for (at::Tensor& t : shard.state) t = at::zeros({n}, options(at::kFloat));
    shard.gradient = at::zeros({n}, options(at::kFloat));
    const at::Tensor& master = shard.state[0];
    if (keeps_weights()) {
      shard.full = world == 1 && !bf16 ? master : collectives.make_buffer(n * world, options(dtype()));
      shard.views = model::views_of(layout_.unit(u), shard.full);
      shard.part = shard.full.narrow(0, rank * n, n);
    } else {
      shard.part = bf16 ? collectives.make_buffer(n, options(dtype())) : master;
    }
    units_.push_back(std::move(shard));
  }
}

int Shards::global_rank() const {
  return (replicas_ ? replicas_->rank() * world() : 0) + collectives_.rank();
}

std::pair<int64_t, int64_t> Shards::chunks_to_save(int u) const {
  const auto [first, last] = layout_.chunks_of_rank(u, collectives_.rank(), world());
  if (!replicas_) return {first, last};
  const int64_t each = (last - first + replicas_->size() - 1) / replicas_->size();
  const int64_t begin = std::min(last, first + replicas_->rank() * each);
  return {begin, std::min(last, begin + each)};
}

float* Shards::state(StateKind kind, int u) {
  return unit(u).state[static_cast<size_t>(kind)].mutable_data_ptr<float>();
}

void Shards::load(const model::WeightSource& source) {
  for (int u = 0; u < layout_.num_units(); ++u) {
    UnitShard& shard = unit(u);
    for (at::Tensor& t : shard.state) t.zero_();
    const int64_t begin = collectives_.rank() * elements(u);
    const at::Tensor& there = shard.state[static_cast<size_t>(StateKind::master)];
    const at::Tensor here = device_.is_cpu() ? there : at::zeros({elements(u)}, at::kFloat);
    float* master = here.mutable_data_ptr<float>();
    for (const Piece& piece : layout_.pieces(u, begin, begin + elements(u)))
      source.read(layout_.unit(u).spec.parameters[piece.parameter], piece.begin, piece.begin + piece.count,
                  master + piece.flat - begin);
    if (!here.is_same(there)) there.copy_(here);
  }
  refresh();
}

void Shards::refresh() {
  for (int u = 0; u < layout_.num_units(); ++u) {
    const float* master = state(StateKind::master, u);
    const at::Tensor& part = unit(u).part;
    if (part.const_data_ptr() == master) continue;
    if (!device_.is_cpu())
      part.copy_(unit(u).state[static_cast<size_t>(StateKind::master)]);
    else if (bf16_)
      round_to_bf16(master, elements(u), bf16_data(part));
    else
      std::copy_n(master, elements(u), part.mutable_data_ptr<float>());
  }
  stale_ = true;
}

void Shards::gather_kept() {
  if (!stale_) return;
  stale_ = false;
  if (world() == 1 || !keeps_weights()) return;
  for (UnitShard& shard : units_) collectives_.start_all_gather(shard.part, shard.full)->wait();
}

void Shards::zero_gradients() {
  for (UnitShard& shard : units_) shard.gradient.zero_();
}

std::vector<double> Shards::chunk_sums_on_gpu() {
  std::vector<at::Tensor> sums;
  for (int u = 0; u < layout_.num_units(); ++u) {
    const int64_t chunks = layout_.chunks_per_rank(u, world());
    sums.push_back(at::empty({chunks}, options(at::kDouble)));
    model::cuda_library().optimizer->chunk_sums(unit(u).gradient.const_data_ptr<float>(),
                                                layout_.chunk_elements(), chunks,
                                                sums.back().mutable_data_ptr<double>());
  }
  const at::Tensor all = model::to_host(at::cat(sums));
  return {all.const_data_ptr<double>(), all.const_data_ptr<double>() + all.numel()};
}

std::vector<double> Shards::gradient_chunk_sums() {
  if (device_.is_cuda()) return chunk_sums_on_gpu();
  std::vector<double> sums;
  const int64_t chunk = layout_.chunk_elements();
  for (int u = 0; u < layout_.num_units(); ++u) {
    const int64_t chunks = layout_.chunks_per_rank(u, world());
    const float* gradient = unit(u).gradient.const_data_ptr<float>();
    const size_t first = sums.size();
    sums.resize(first + static_cast<size_t>(chunks));
    model::parallel_rows(chunks, std::max<int64_t>(1, kGrain / chunk), [&](int64_t from, int64_t to) {
      for (int64_t c = from; c < to; ++c)
        sums[first + static_cast<size_t>(c)] = sum_of_squares(gradient + c * chunk, chunk);
    });
  }
  return sums;
}

double Shards::gradient_norm(const std::vector<double>& gathered, int64_t stride) const {
  double total = 0;
  int64_t unit_offset = 0;
  for (int u = 0; u < layout_.num_units(); ++u) {
    const int64_t each = layout_.chunks_per_rank(u, collectives_.size());
    for (int64_t c = 0; c < layout_.num_chunks(u); ++c)
      total += gathered[static_cast<size_t>((c / each) * stride + unit_offset + c % each)];
    unit_offset += each;
  }
  return std::sqrt(total);
}

void Shards::step(const OptimConfig& optim, double lr, double gradient_scale, int64_t t) {
  const AdamWStep adam =
      adamw_step(lr, optim.beta1, optim.beta2, optim.eps, optim.weight_decay, gradient_scale, t);
  for (int u = 0; u < layout_.num_units(); ++u) {
    UnitShard& shard = unit(u);
    const int64_t begin = collectives_.rank() * elements(u);
    float *master = state(StateKind::master, u), *exp_avg = state(StateKind::exp_avg, u),
          *exp_avg_sq = state(StateKind::exp_avg_sq, u);
    const float* gradient = shard.gradient.const_data_ptr<float>();
    uint16_t* const weights = bf16_ ? bf16_data(shard.part) : nullptr;
    for (const Piece& piece : layout_.pieces(u, begin, begin + elements(u))) {
      const bool decays = layout_.unit(u).spec.parameters[piece.parameter].decay || optim.decay_norms;
      const float keep = decays ? adam.decay : adam.no_decay;
      const int64_t at = piece.flat - begin;
      update(device_.is_cuda(), adam, keep, piece.count, master + at, exp_avg + at, exp_avg_sq + at,
             gradient + at, weights ? weights + at : nullptr);
    }
    if (!bf16_ && shard.part.const_data_ptr() != master)
      shard.part.copy_(shard.state[static_cast<size_t>(StateKind::master)]);
  }
  stale_ = true;
}

std::string Shards::weights_hash() {
  gather_kept();
  std::string text;
  for (int u = 0; u < layout_.num_units(); ++u) {
    at::Tensor whole = unit(u).full;
    if (!whole.defined()) {
      whole = at::empty({elements(u) * world()}, options(dtype()));
      collectives_.start_all_gather(unit(u).part, whole)->wait();
    }
    whole = whole.to(at::kCPU);
    const auto bytes = static_cast<size_t>(layout_.unit(u).size) * whole.element_size();
    text += fmt::format(
        "{:016x}", xxh3_64({static_cast<const char*>(whole.const_data_ptr()), static_cast<size_t>(bytes)}));
  }
  return sha256_hex(text);
}

}  // namespace retrace::train
