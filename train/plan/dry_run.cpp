#include "train/plan/dry_run.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "model/llama/block_costs.h"
#include "model/ops/head_exchange.h"
#include "train/ranks/rank_groups.h"
#include "train/step/forward_backward.h"

namespace retrace::train {
namespace {

// A group of `size` ranks of which only this one is there.
class CountingCollectives final : public Collectives {
 public:
  CountingCollectives(int64_t size, DryRun& count) : size_(static_cast<int>(size)), count_(count) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }

  std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    ensure(whole.numel() == part.numel() * size_, "a gather fills the whole from equal parts");
    return note(count_.gathers, static_cast<int64_t>(part.nbytes()) * (size_ - 1));
  }
  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) override {
    ensure(whole.numel() == sum.numel() * size_, "a reduction leaves each rank an equal part");
    return note(count_.reduces, static_cast<int64_t>(sum.nbytes()) * (size_ - 1));
  }
  std::unique_ptr<Pending> start_all_reduce(const at::Tensor& values) override {
    return note(count_.sums, 2 * static_cast<int64_t>(values.nbytes()) * (size_ - 1) / size_);
  }
  std::unique_ptr<Pending> start_all_to_all(const at::Tensor& in, const at::Tensor& out) override {
    ensure(in.numel() == out.numel() && in.numel() % size_ == 0, "a swap is of equal pieces");
    return note(count_.swaps, static_cast<int64_t>(in.nbytes()) * (size_ - 1) / size_);
  }
  std::unique_ptr<Collectives> subgroup(const std::vector<int>& members) override {
    return std::make_unique<CountingCollectives>(static_cast<int64_t>(members.size()), count_);
  }
  std::vector<double> gather(const std::vector<double>& part) override {
    std::vector<double> all;
    for (int r = 0; r < size_; ++r) all.insert(all.end(), part.begin(), part.end());
    return all;
  }
  void broadcast(std::vector<double>&, int) override {}
  void barrier() override {}

 private:
  struct Counted final : Pending {
    explicit Counted(int64_t& in_flight) : in_flight(in_flight) { ++in_flight; }
    ~Counted() override {
      if (!waited) --in_flight;
    }
    void wait() override {
      ensure(!waited, "a transfer is waited for once");
      waited = true;
      --in_flight;
    }
    int64_t& in_flight;
    bool waited = false;
  };

  std::unique_ptr<Pending> note(TransferCount& count, int64_t bytes) {
    ++count.calls;
    count.bytes += bytes;
    auto pending = std::make_unique<Counted>(count_.in_flight);
    count_.most_in_flight = std::max(count_.most_in_flight, count_.in_flight);
    return pending;
  }

  int size_;
  DryRun& count_;
};

// Computes nothing. Where ranks share sequences, blocks swap tokens against heads as they would.
class NoWork final : public PassWork {
 public:
  NoWork(const TrainingShape& shape, Collectives* context)
      : plan_(model::plan_block(shape.block_options())),
        heads_{shape.llama.num_heads, shape.llama.num_kv_heads, shape.llama.head_dim} {
    if (!context) return;
    peers_.emplace(*context);
    const auto rows = [&](int64_t tokens, int64_t width) {
      return at::empty(
          {tokens, width},
          at::TensorOptions(c10::kMeta).dtype(shape.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat));
    };
    const int64_t tokens = shape.batch_of_rank().tokens, all = tokens * shape.context;
    const model::HeadShape own = model::heads_of_rank(heads_, shape.context);
    qkv_ = rows(tokens, heads_.row());
    dqkv_ = rows(all, own.row());
    attn_ = rows(tokens, heads_.heads * heads_.head_dim);
    attn_of_heads_ = rows(all, own.heads * own.head_dim);
  }
  void begin(const MicroBatch&) override {}
  void embed(const model::Views&) override {}
  void block(int, const model::Views&) override { run(plan_.forward); }
  void head(const model::Views&, model::Views&) override {}
  void block_backward(int, const model::Views&, model::Views&) override { run(plan_.backward); }
  void embed_backward(model::Views&) override {}
  void end(StepLoss&) override {}

 private:
  void run(const std::vector<model::PlanStep>& steps) {
    if (!peers_) return;
    for (const model::PlanStep& step : steps) {
      using Kind = model::PlanStep::Kind;  // nothing is swapped inside a tile
      if (step.kind == Kind::drop || step.kind == Kind::tiles) continue;
      const std::string_view op = model::block_ops()[step.index].name;
      const bool forward = step.kind == Kind::forward;
      if (op == "qkv" && forward) model::exchange_qkv(*peers_, qkv_, heads_);
      if (op == "qkv" && !forward) model::return_qkv_gradient(*peers_, dqkv_, heads_);
      if (op == "attention" && forward) model::return_rows(*peers_, attn_of_heads_);
      for (int i = 0; op == "attention" && !forward && i < 2; ++i) model::exchange_rows(*peers_, attn_);
    }
  }

  model::BlockPlan plan_;
  model::HeadShape heads_;
  std::optional<GroupPeers> peers_;
  at::Tensor qkv_, dqkv_, attn_, attn_of_heads_;
};

}  // namespace

DryRun dry_run_step(const TrainingShape& shape, int world) {
  const int64_t per_pass = shape.micro_batch * world / shape.context;
  if (shape.batch_sequences % per_pass != 0)
    throw Error(Code::recipe,
                fmt::format("{} sequences a step do not divide into micro-batches of {} on {} ranks",
                            shape.batch_sequences, shape.micro_batch, world),
                "change the number of ranks, train.micro_batch or train.batch_sequences",
                "train.batch_sequences");
  DryRun count;
  count.micro_steps = shape.batch_sequences / per_pass;
  CountingCollectives collectives(world, count);
  RankGroups groups(collectives, {shape.shard_ranks(world), static_cast<int>(shape.context)});
  const FlatLayout layout(shape.llama, shape.chunk_kib);
  Shards shards(layout, parse_sharding(shape.sharding), shape.dtype == "bfloat16", groups.shard(), c10::kMeta,
                groups.replicas());
  NoWork work(shape, groups.context());
  ForwardBackward forward_backward(work, shards, 1, 1, [] {});
  StepBatch batch;
  batch.micro.resize(1);
  batch.micro.front().resize(static_cast<size_t>(count.micro_steps));
  forward_backward.run(batch);
  return count;
}

}  // namespace retrace::train
