#include "train/dry_run.h"

#include <algorithm>

#include "core/error.h"
#include "train/step_runner.h"

namespace retrace::train {
namespace {

// A group of `size` ranks of which only this one is there.
class CountingCollectives final : public Collectives {
 public:
  CountingCollectives(int size, DryRun& count) : size_(size), count_(count) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }

  std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    ensure(whole.numel() == part.numel() * size_, "a gather fills the whole from equal parts");
    return note(count_.gathers, part);
  }
  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) override {
    ensure(whole.numel() == sum.numel() * size_, "a reduction leaves each rank an equal part");
    return note(count_.reduces, sum);
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

  std::unique_ptr<Pending> note(TransferCount& count, const at::Tensor& part) {
    ++count.calls;
    count.bytes += static_cast<int64_t>(part.nbytes()) * (size_ - 1);
    auto pending = std::make_unique<Counted>(in_flight_);
    count_.most_in_flight = std::max(count_.most_in_flight, in_flight_);
    return pending;
  }

  int size_;
  DryRun& count_;
  int64_t in_flight_ = 0;
};

class NoWork final : public PassWork {
 public:
  void begin(const MicroBatch&) override {}
  void embed(const model::Views&) override {}
  void block(int, const model::Views&) override {}
  void head(const model::Views&, model::Views&) override {}
  void block_backward(int, const model::Views&, model::Views&) override {}
  void embed_backward(model::Views&) override {}
  void end(StepLoss&) override {}
};

}  // namespace

DryRun dry_run_step(const TrainingShape& shape, int world) {
  const int64_t per_pass = shape.micro_batch * world;
  if (shape.batch_sequences % per_pass != 0)
    throw Error(Code::recipe,
                fmt::format("{} sequences a step do not divide into micro-batches of {} on {} ranks",
                            shape.batch_sequences, shape.micro_batch, world),
                "change the number of ranks, train.micro_batch or train.batch_sequences",
                "train.batch_sequences");
  DryRun count;
  count.micro_steps = shape.batch_sequences / per_pass;
  CountingCollectives collectives(world, count);
  const FlatLayout layout(shape.llama, shape.chunk_kib);
  Shards shards(layout, parse_sharding(shape.sharding), shape.dtype == "bfloat16", collectives, c10::kMeta);
  NoWork work;
  StepRunner runner(work, shards, 1, 1, [] {});
  StepData data;
  data.micro.resize(1);
  data.micro.front().resize(static_cast<size_t>(count.micro_steps));
  runner.run(data);
  return count;
}

}  // namespace retrace::train
