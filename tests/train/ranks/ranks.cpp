// Whole jobs of one to three processes: the same losses however the ranks share the work.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <map>

#include "core/files/files.h"
#include "core/json.h"
#include "core/metrics/metrics.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

TEST_CASE("two ranks and one process that adds up as two have the same bits", "[dist]") {
  const Bench bench;
  for (const char* mode : {"zero3", "zero2", "zero1-accumulate"}) {
    const std::string sharding = std::string("train.sharding=") + mode;
    for (const char* tied : {"model.tie_embeddings=false", "model.tie_embeddings=true"}) {
      const std::string name = fmt::format("{}-{}", mode, tied[21]);
      expect_ok(bench.train(name + "-real", 2, {sharding, tied}));
      expect_ok(bench.train(name + "-virtual", 1, {sharding, tied, "train.virtual_ranks=2"}));
      REQUIRE(bench.losses(name + "-real").size() == 5);
      REQUIRE(bench.losses(name + "-real") == bench.losses(name + "-virtual"));
      REQUIRE(bench.root(name + "-real") == bench.root(name + "-virtual"));
    }
    if (std::string(mode) != "zero3") {
      const auto zero3 = bench.losses("zero3-f-real"), other = bench.losses(std::string(mode) + "-f-real");
      REQUIRE(worst_ratio(zero3, other) <= (std::string(mode) == "zero2" ? 0 : 1e-6));
    }
  }
}

TEST_CASE("two ranks in bf16 and one process that adds up as two have the same bits", "[dist]") {
  const Bench bench;
  expect_ok(bench.train("real", 2, {"model.dtype=bfloat16"}));
  expect_ok(bench.train("virtual", 1, {"model.dtype=bfloat16", "train.virtual_ranks=2"}));
  REQUIRE(bench.losses("real") == bench.losses("virtual"));
  REQUIRE(bench.root("real") == bench.root("virtual"));
}

TEST_CASE("three ranks agree with one within 1e-6, and bit for bit with three virtual ones", "[dist]") {
  const Bench bench;
  expect_ok(bench.train("one", 1));
  expect_ok(bench.train("three", 3));
  expect_ok(bench.train("virtual", 1, {"train.virtual_ranks=3"}));
  REQUIRE(bench.losses("three") == bench.losses("virtual"));
  REQUIRE(worst_ratio(bench.losses("one"), bench.losses("three")) < 1e-6);
}

TEST_CASE("training lowers the loss, records what it promises, and a done round returns at once", "[dist]") {
  const Bench bench;
  expect_ok(bench.train("run", 1, {"train.steps=20"}));
  const auto losses = bench.losses("run");
  REQUIRE(losses.back() < 0.8 * losses.front());
  const auto lines = read_jsonl(bench.run("run") / "metrics.jsonl");
  for (const char* key : {"loss", "lr", "grad_norm", "tokens", "label_tokens", "tokens_per_s", "step_time_s",
                          "data_wait_s", "checkpoint_stall_s", "skipped", "loss/tiny", "eta_s",
                          "memory_bytes", "tokens_per_s_per_rank", "model_tflops_per_rank", "failed_saves"})
    REQUIRE(lines[3].contains(key));
  REQUIRE(lines[0].contains("start_to_first_forward_s"));
  REQUIRE_FALSE(lines[1].contains("start_to_first_forward_s"));
  for (const char* file :
       {"recipe.toml", "run.json", "checkpoints/latest", "checkpoints/step-20/manifest.json"})
    REQUIRE(fs::exists(bench.run("run") / file));
  const std::string root = bench.root("run");
  expect_ok(bench.train("run", 1, {"train.steps=20"}));
  REQUIRE(bench.root("run") == root);
  REQUIRE(bench.losses("run") == losses);
}

TEST_CASE("every rank leaves a trace of its steps, and the log says who was waited for", "[dist]") {
  const Bench bench;
  // Steps long enough (0.15 s) that other processes do not decide which part of one is computing.
  const ProcessResult result = bench.train("run", 2,
                                           {"train.steps=6", "checkpoint.every=2", "train.peak_tflops=0.001",
                                            "model.hidden_size=256", "model.intermediate_size=2048"});
  expect_ok(result);
  INFO(result.output);
  REQUIRE(contains(result, "was the slowest in"));
  for (const int rank : {0, 1}) {
    std::map<std::string, int> steps;
    std::map<int64_t, double> whole_s;
    for (const Json& line : read_jsonl(bench.run("run") / fmt::format("trace-{}.jsonl", rank))) {
      ++steps[get<std::string>(line, "phase", "trace")];
      const auto step = get<int64_t>(line, "step", "trace");
      const auto duration_s = get<double>(line, "duration_s", "trace");
      REQUIRE((step >= 1 && step <= 6));
      REQUIRE(duration_s >= 0);
      REQUIRE(get<double>(line, "start_s", "trace") > 1.6e9);
      if (get<std::string>(line, "phase", "trace") != "checkpoint") whole_s[step] += duration_s;
    }
    for (const char* phase :
         {"data", "forward", "head", "backward", "gather_wait", "reduce_wait", "decision", "optimizer"})
      REQUIRE(steps[phase] == 6);
    REQUIRE(steps["checkpoint"] == 3);
    if (rank > 0) continue;
    // The phases lie inside the step and are most of it.
    for (const Json& line : read_jsonl(bench.run("run") / "metrics.jsonl")) {
      const auto step_s = get<double>(line, "step_time_s", "metrics");
      const double phases_s = whole_s[get<int64_t>(line, "step", "metrics")];
      INFO(to_text(line) << " phases " << phases_s);
      REQUIRE(phases_s <= step_s * 1.05 + 1e-4);
      REQUIRE(phases_s >= step_s * 0.5);
      REQUIRE(get<double>(line, "model_flop_utilisation", "metrics") > 0);
      REQUIRE(get<double>(line, "slowest_over_mean", "metrics") >= 1);
    }
  }
}

TEST_CASE("resumed training is bit-equal to training that never stopped", "[dist]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=9", "checkpoint.every=2"};
  for (const int ranks : {1, 2}) {
    const std::string straight = fmt::format("straight-{}", ranks),
                      stopped = fmt::format("stopped-{}", ranks);
    expect_ok(bench.train(straight, ranks, keys));
    for (const char* point : {"before_shards:0:4:kill", "mid_shard:0:8:kill"}) {
      auto dying = keys;
      dying.push_back(std::string("debug.fail_at=") + point);
      const ProcessResult result = bench.train(stopped, ranks, dying);
      INFO(result.output);
      REQUIRE(result.exit_status != 0);
    }
    expect_ok(bench.train(stopped, ranks, keys));
    REQUIRE(bench.losses(stopped) == bench.losses(straight));
    REQUIRE(bench.root(stopped) == bench.root(straight));
  }
}

TEST_CASE("a run can start from another run's checkpoint, or refuse to", "[dist]") {
  const Bench bench;
  expect_ok(bench.train("first", 1, {"checkpoint.every=1", "checkpoint.keep=5"}));
  const std::string third = (bench.run("first") / "checkpoints" / "step-3").string();
  expect_ok(bench.train("second", 1, {"checkpoint.resume=" + third}));
  REQUIRE(bench.root("second") == bench.root("first"));
  const ProcessResult result = bench.train("third", 1, {"checkpoint.resume=" + third + "0"});
  INFO(result.output);
  REQUIRE(result.exit_status == 3);
  REQUIRE(result.output.find("step-30") != std::string::npos);
}

TEST_CASE("training goes on at another number of ranks", "[dist]") {
  const Bench bench;
  expect_ok(bench.train("straight", 1, {"train.steps=6"}));
  int step = 2;
  for (const int ranks : {1, 2, 3}) {
    const std::string point = fmt::format("debug.fail_at=before_shards:0:{}:kill", step += 1);
    const ProcessResult result = bench.train("moved", ranks, {"train.steps=6", "checkpoint.every=1", point});
    INFO(result.output);
    REQUIRE(result.exit_status != 0);
    REQUIRE((ranks == 1 || result.output.find("not bit-equal") != std::string::npos));
  }
  expect_ok(bench.train("moved", 1, {"train.steps=6", "checkpoint.every=1"}));
  REQUIRE(worst_ratio(bench.losses("straight"), bench.losses("moved")) < 1e-5);
}

TEST_CASE("saved on N ranks, loaded on M: the same bits as one process that adds up as they do", "[dist]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=6", "train.micro_batch=1", "checkpoint.every=1"};
  int step = 1;
  for (const int ranks : {1, 2, 3, 8, 1}) {
    auto more = keys;
    more.push_back(fmt::format("debug.fail_at=before_shards:0:{}:kill", step += 1));
    REQUIRE(bench.train("real", ranks, more).exit_status != 0);
    more.push_back(fmt::format("train.virtual_ranks={}", ranks));
    REQUIRE(bench.train("virtual", 1, more).exit_status != 0);
    INFO(ranks << " ranks to step " << step - 1);
    REQUIRE(bench.root("real") == bench.root("virtual"));
  }
  for (const char* name : {"real", "virtual"}) expect_ok(bench.train(name, 1, keys));
  REQUIRE(bench.losses("real") == bench.losses("virtual"));
  REQUIRE(bench.root("real") == bench.root("virtual"));
}

TEST_CASE("ranks that start from different weights do not train", "[dist]") {
  const Bench bench;
  for (const auto& [name, seed] : {std::pair{"a", "run.seed=1"}, {"b", "run.seed=2"}}) {
    expect_ok(bench.train(name, 1, {seed, "train.steps=1"}));
    export_checkpoint(bench.run(name) / "checkpoints" / "step-1", bench.run(name) / "hf", "float32");
  }
  const std::string a = "model.path=" + (bench.run("a") / "hf").string(),
                    b = "model.path=" + (bench.run("b") / "hf").string();
  const ProcessResult result = bench.train("run", 2, {a}, {{"RETRACE_TEST_ONLY_1", b}});
  INFO(result.output);
  REQUIRE(result.exit_status == 75);
  REQUIRE(contains(result, "rank 1 has another set of start weights"));
  REQUIRE_FALSE(fs::exists(bench.run("run") / "metrics.jsonl"));
}

TEST_CASE("ranks that disagree do not train, and the one that differs is named", "[dist]") {
  const Bench bench;
  const ProcessResult result = bench.train("run", 2, {}, {{"RETRACE_TEST_ONLY_1", "optim.lr=0.5"}});
  INFO(result.output);
  REQUIRE(result.exit_status == 75);
  REQUIRE(result.output.find("rank 1 has another optim.lr") != std::string::npos);
  REQUIRE_FALSE(fs::exists(bench.run("run") / "metrics.jsonl"));
}

TEST_CASE("ranks compare their weights every so many steps", "[dist]") {
  const Bench bench;
  expect_ok(bench.train("plain", 2));
  for (const char* mode : {"zero3", "zero2"}) {
    expect_ok(bench.train(mode, 2, {"train.check_weights_every=2", std::string("train.sharding=") + mode}));
    REQUIRE(bench.losses(mode) == bench.losses("plain"));
  }
}

TEST_CASE("a later round starts from the one before it, with fresh moments and its own schedule", "[dist]") {
  const Bench bench;
  expect_ok(bench.train("run", 1));
  expect_ok(bench.train("run", 2, {"--round", "2"}));
  const Manifest second = read_manifest(bench.run("run") / "checkpoints" / "step-10");
  REQUIRE(second.progress.round == 2);
  REQUIRE(second.progress.optimizer_step == 5);
  REQUIRE(second.progress.round_done);
  REQUIRE(read_manifest(bench.run("run") / "checkpoints" / "step-5").progress.round == 1);
  const ProcessResult result = bench.train("run", 1, {"--round", "4"});
  REQUIRE(result.exit_status == 3);
}
