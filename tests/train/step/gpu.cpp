// Training on a GPU beside training on the CPU. Skipped, with the reason, where there is no GPU or no
// libretrace_cuda.so beside the test program.
#include <catch2/catch_test_macros.hpp>

#include "core/error.h"
#include "model/device/cuda_library.h"
#include "tests/train/testing.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

void need_gpu() {
  std::string reason;
  try {
    model::choose_device("cuda");
  } catch (const Error& problem) {
    reason = problem.message();
  }
  if (!reason.empty()) SKIP(reason);
}

}  // namespace

TEST_CASE("training on one GPU follows training on the CPU, and resumes", "[gpu]") {
  need_gpu();
  const Bench bench;
  for (const char* tied : {"model.tie_embeddings=false", "model.tie_embeddings=true"}) {
    const std::string name(1, tied[21]);
    expect_ok(bench.train(name + "cpu", 1, {tied, "train.device=cpu"}));
    expect_ok(bench.train(name + "gpu", 1, {tied, "train.device=cuda"}));
    REQUIRE(worst_ratio(bench.losses(name + "cpu"), bench.losses(name + "gpu")) < 1e-4);
  }
  expect_ok(bench.train("bf16", 1, {"train.device=cuda", "model.dtype=bfloat16", "train.steps=20"}));
  const auto losses = bench.losses("bf16");
  REQUIRE(losses.back() < 0.8 * losses.front());
  // A checkpoint written on a GPU goes on there, and on a CPU.
  const std::vector<std::string> saves = {"checkpoint.every=2", "train.device=cuda"};
  auto killed = saves;
  killed.push_back("debug.fail_at=after_rename:0:2:kill");
  expect_ok(bench.train("whole", 1, saves));
  for (const char* device : {"cuda", "cpu"}) {
    REQUIRE(bench.train(device, 1, killed).exit_status != 0);
    expect_ok(bench.train(device, 1, {"checkpoint.every=2", std::string("train.device=") + device}));
    REQUIRE(worst_ratio(bench.losses("whole"), bench.losses(device)) < 1e-4);
  }
}

TEST_CASE("ranks on GPUs of their own train as one does, in every sharding mode", "[gpu]") {
  need_gpu();
  if (model::gpu_count() < 2) SKIP("NCCL needs a GPU for each rank; this machine has one");
  const Bench bench;
  expect_ok(bench.train("one", 1, {"train.device=cuda"}));
  for (const char* sharding : {"zero3", "zero2", "hsdp", "zero1-accumulate"}) {
    expect_ok(bench.train(sharding, 2, {"train.device=cuda", std::string("train.sharding=") + sharding}));
    REQUIRE(worst_ratio(bench.losses("one"), bench.losses(sharding)) < 1e-4);
  }
}
