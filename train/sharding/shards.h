// This rank's share of the training state: fp32 masters, both moments and the summed gradients of its range
// of every unit, the weights in the compute dtype, and the optimizer step over all of them. Weights change in
// step() and load() only. With hsdp the ranks of a shard group hold one copy of the state, its replicas the
// same bits.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/files/weights.h"
#include "train/config.h"
#include "train/ranks/collectives.h"
#include "train/sharding/flat_layout.h"

namespace retrace::train {

enum class Sharding { zero3, zero2, hsdp, zero1_accumulate };
Sharding parse_sharding(const std::string& name);

// The vectors of a checkpoint, in the order in which it holds them.
enum class StateKind { master, exp_avg, exp_avg_sq };
inline constexpr int kNumStateKinds = 3;

struct UnitShard {
  std::array<at::Tensor, kNumStateKinds> state;  // fp32, elements_per_rank long
  at::Tensor gradient;                           // fp32, the same range
  at::Tensor part;     // weights of this range in the compute dtype; the master itself in fp32
  at::Tensor full;     // all weights of the unit, where the mode keeps them; `part` lies inside
  model::Views views;  // of `full`
};

class Shards {
 public:
  // collectives: the ranks that share one copy of the state; replicas: those that hold what this rank holds
  // in other copies, null if there is one copy. device: where tensors live; on c10::kMeta they have shapes
  // only, which is enough to count transfers.
  Shards(const FlatLayout& layout, Sharding sharding, bool bf16, Collectives& collectives,
         c10::Device device = c10::kCPU, Collectives* replicas = nullptr);

  const FlatLayout& layout() const { return layout_; }
  Sharding sharding() const { return sharding_; }
  Collectives& collectives() { return collectives_; }
  Collectives* replicas() { return replicas_; }
  c10::Device device() const { return device_; }
  int world() const { return collectives_.size(); }  // ranks that share one copy of the state
  // Among the ranks of all copies.
  int global_rank() const;
  at::TensorOptions options(at::ScalarType type) const { return at::TensorOptions(device_).dtype(type); }
  at::ScalarType dtype() const { return bf16_ ? at::kBFloat16 : at::kFloat; }
  bool keeps_weights() const { return world() == 1 || keeps_weights(sharding_); }
  static bool keeps_weights(Sharding sharding) {
    return sharding == Sharding::zero2 || sharding == Sharding::zero1_accumulate;
  }
  UnitShard& unit(int u) { return units_[static_cast<size_t>(u)]; }
  float* state(StateKind kind, int u);  // on device()
  int64_t elements(int u) const { return layout_.elements_per_rank(u, world()); }
  // Chunks of the unit that this rank writes into a checkpoint: replicas share what they hold alike.
  std::pair<int64_t, int64_t> chunks_to_save(int u) const;

  // Masters from the source, moments zero.
  void load(const model::WeightSource& source);
  // Compute weights from the masters, after the state was filled from outside.
  void refresh();
  // Kept weights of the other ranks' ranges, if they changed since the last call. A collective.
  void gather_kept();

  void zero_gradients();
  // Sums of squared gradients of this rank's chunks, padding chunks as zeros, unit by unit.
  std::vector<double> gradient_chunk_sums();
  // Root of the sum over all ranks' chunk sums in global chunk order: the same bits on every rank, and at any
  // world size up to the bits of the gradients themselves. `gathered` has `stride` values a rank, of which
  // the first are the chunk sums; of replicas the first copy counts.
  double gradient_norm(const std::vector<double>& gathered, int64_t stride) const;
  // AdamW with gradients times `gradient_scale`; t is the 1-based optimizer step.
  void step(const OptimConfig& optim, double lr, double gradient_scale, int64_t t);

  // Hash of the weights that this rank computes with, gathered as training gathers them. A collective.
  std::string weights_hash();

 private:
  std::vector<double> chunk_sums_on_gpu();
  FlatLayout layout_;
  Sharding sharding_;
  bool bf16_, stale_ = true;
  Collectives& collectives_;
  Collectives* replicas_;
  c10::Device device_;
  std::vector<UnitShard> units_;
};

}  // namespace retrace::train
