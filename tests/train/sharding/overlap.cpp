// What a step does beside computing: transfers that are under way while units compute, two slots each for
// weights and gradients, and no memory that grows.
#include <catch2/catch_test_macros.hpp>
#include <map>

#include "tests/train/stand_ins.h"
#include "tests/train/testing.h"
#include "train/ranks/rank_groups.h"
#include "train/step/forward_backward.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

// What happened, in order: "gather", "gathered", "reduce", "reduced", and the units' work.
using Log = std::vector<std::string>;

class Recorder final : public Echo {
 public:
  Recorder(int size, Log& log) : Echo(size), log_(log) {}
  std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    Echo::start_all_gather(part, whole);
    return begin("gather", "gathered", gathers);
  }
  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) override {
    Echo::start_reduce_scatter(whole, sum);
    return begin("reduce", "reduced", reduces);
  }
  std::unique_ptr<Pending> start_all_reduce(const at::Tensor& values) override {
    Echo::start_all_reduce(values);
    return begin("sum", "summed", sums);
  }
  struct InFlight {
    int64_t now = 0, most = 0;
  } gathers, reduces, sums;

 private:
  struct Noted final : Pending {
    Noted(Log& log, const char* end, InFlight& count) : log(log), end(end), count(count) {}
    void wait() override {
      log.push_back(end);
      --count.now;
    }
    Log& log;
    const char* end;
    InFlight& count;
  };
  std::unique_ptr<Pending> begin(const char* what, const char* end, InFlight& count) {
    log_.push_back(what);
    count.most = std::max(count.most, ++count.now);
    return std::make_unique<Noted>(log_, end, count);
  }
  Log& log_;
};

// Computes nothing, notes when it would.
class Idle final : public PassWork {
 public:
  explicit Idle(Log* log = nullptr) : log_(log) {}
  void begin(const MicroBatch&) override {}
  void embed(const model::Views&) override { note("embed"); }
  void block(int, const model::Views&) override { note("forward"); }
  void head(const model::Views&, model::Views&) override { note("head"); }
  void block_backward(int, const model::Views&, model::Views&) override { note("backward"); }
  void embed_backward(model::Views&) override { note("embed backward"); }
  void end(StepLoss&) override {}

 private:
  void note(const char* what) {
    if (log_) log_->push_back(what);
  }
  Log* log_;
};

StepBatch empty_step(size_t micro_steps) {
  StepBatch batch;
  batch.micro.resize(1);
  batch.micro.front().resize(micro_steps);
  return batch;
}

}  // namespace

TEST_CASE("weights are fetched and gradients reduced while units compute", "[unit]") {
  Log log;
  Recorder group(3, log);
  const FlatLayout layout(tiny_config(), 1);
  Shards shards(layout, Sharding::zero3, false, group);
  Idle work(&log);
  ForwardBackward forward_backward(work, shards, 1, 1, [] {});
  forward_backward.run(empty_step(1));
  // Two blocks. A gather begins before the unit before it computes; a reduction ends after the next unit's
  // work, when its slot is wanted or at the end of the pass.
  const Log expected = {"gather",   "gathered", "gather",   "embed",   "gathered", "gather",
                        "forward",  "gathered", "gather",   "forward", "gathered", "gather",
                        "head",     "reduce",   "gathered", "gather",  "backward", "reduce",
                        "gathered", "reduced",  "backward", "reduce",  "reduced",  "embed backward",
                        "reduce",   "reduced",  "reduced"};
  REQUIRE(log == expected);
  REQUIRE(group.gathers.most == 1);
  REQUIRE(group.reduces.most == 2);
}

TEST_CASE("copies of the state add up once a step, two units under way", "[unit]") {
  Log log, of_copies;
  Recorder group(2, log), copies(3, of_copies);
  const FlatLayout layout(tiny_config(), 1);
  Shards shards(layout, Sharding::hsdp, false, group, c10::kCPU, &copies);
  Idle work;
  ForwardBackward forward_backward(work, shards, 1, 1, [] {});
  forward_backward.run(empty_step(3));
  REQUIRE(of_copies == Log{"sum", "sum", "summed", "sum", "summed", "sum", "summed", "summed"});
  REQUIRE(copies.sums.most == 2);
}

TEST_CASE("after its first step a rank's transfers take no new memory", "[unit]") {
  CountingAllocator& counter = CountingAllocator::get();
  const FlatLayout layout(tiny_config(true), 1);
  for (const Sharding mode : {Sharding::zero3, Sharding::zero2, Sharding::hsdp, Sharding::zero1_accumulate}) {
    Echo group(3), copies(2);
    Shards shards(layout, mode, true, group, c10::kCPU, mode == Sharding::hsdp ? &copies : nullptr);
    shards.load(*model::random_weights(layout.config(), 1, 0.02));
    Idle work;
    ForwardBackward forward_backward(work, shards, 1, 1, [] {});
    const StepBatch batch = empty_step(2);
    forward_backward.run(batch);
    const int64_t live = counter.live, large = counter.large;
    for (int step = 0; step < 3; ++step) {
      shards.step({}, 1e-3, 1.0, step + 1);
      forward_backward.run(batch);
    }
    REQUIRE(counter.large == large);
    REQUIRE(counter.live == live);
  }
}
