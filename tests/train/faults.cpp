// What kills, freezes, fills disks and spoils numbers; and what is left after it.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <set>

#include "core/failpoint.h"
#include "core/files.h"
#include "core/metrics.h"
#include "core/run_lock.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

bool contains(const ProcessResult& result, const std::string& text) {
  return result.output.find(text) != std::string::npos;
}

void expect_ok(const ProcessResult& result) {
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
}

void expect_no_leftovers(const fs::path& run) {
  for (const std::string& name : list_folder(run / "checkpoints")) {
    const bool known = name == "latest" || (name.find("step-") == 0 && name.find('.') == std::string::npos);
    INFO(name);
    REQUIRE(known);
  }
}

}  // namespace

TEST_CASE("a save that dies or fails at any failpoint costs at most the last interval", "[fault]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=5", "checkpoint.every=1"};
  expect_ok(bench.train("undisturbed", 2, keys));
  const std::string root = bench.root("undisturbed");
  const std::set<std::string> of_every_rank = {"before_shards", "mid_shard", "after_shards"};
  for (const std::string& point : failpoint_names()) {
    const int rank = of_every_rank.count(point) ? 1 : 0;
    for (const char* action : {"kill", "throw"}) {
      INFO(point << " " << action);
      const std::string run = point + "-" + action;
      auto failing = keys;
      failing.push_back(fmt::format("debug.fail_at={}:{}:4:{}", point, rank, action));
      const ProcessResult result = bench.train(run, 2, failing);
      INFO(result.output);
      if (std::string(action) == "kill") {
        REQUIRE(result.exit_status == 75);
        REQUIRE(list_checkpoints(bench.run(run) / "checkpoints").front().step >= 3);
        expect_ok(bench.train(run, 2, keys));
      } else {
        REQUIRE(result.exit_status == 0);
        REQUIRE((contains(result, "training goes on") || contains(result, "tidying up")));
      }
      REQUIRE(bench.root(run) == root);
      REQUIRE(bench.losses(run) == bench.losses("undisturbed"));
      expect_no_leftovers(bench.run(run));
    }
  }
}

TEST_CASE("a full disk is survived, or ends the job as configured, and older checkpoints stay", "[fault]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=6", "checkpoint.every=1", "checkpoint.max_failures=2"};
  expect_ok(bench.train("undisturbed", 2, keys));
  auto once = keys, for_good = keys;
  once.push_back("debug.fail_at=mid_shard:1:3:enospc");
  expect_ok(bench.train("once", 2, once));
  REQUIRE(bench.root("once") == bench.root("undisturbed"));
  for_good.push_back("debug.fail_at=mid_shard:1:4:enospc,mid_shard:1:5:enospc,mid_shard:1:6:enospc");
  const ProcessResult result = bench.train("for-good", 2, for_good);
  INFO(result.output);
  REQUIRE(result.exit_status == 75);
  REQUIRE(contains(result, "2 failures in a row"));
  REQUIRE(list_checkpoints(bench.run("for-good") / "checkpoints").front().step == 3);
  expect_no_leftovers(bench.run("for-good"));
}

TEST_CASE("a damaged checkpoint is named, and training resumes from the one before it", "[fault]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=5", "checkpoint.every=1"};
  auto dying = keys;
  dying.push_back("debug.fail_at=before_shards:0:5:kill");
  expect_ok(bench.train("undisturbed", 2, keys));
  for (const char* file : {"state-00000.bin", "state-00001.bin", "manifest.json"}) {
    const std::string run = std::string("damaged-") + file;
    REQUIRE(bench.train(run, 2, dying).exit_status == 75);
    const fs::path newest = bench.run(run) / "checkpoints" / "step-4" / file;
    std::string bytes = read_file(newest);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
    write_file(newest, bytes);
    const ProcessResult result = bench.train(run, 2, keys);
    expect_ok(result);
    INFO(result.output);
    REQUIRE(contains(result, "refusing"));
    REQUIRE(contains(result, (fs::path("step-4") / file).string()));
    REQUIRE(bench.root(run) == bench.root("undisturbed"));
    REQUIRE(bench.losses(run) == bench.losses("undisturbed"));
  }
}

TEST_CASE("a checkpoint of another recipe is refused unless forced", "[fault]") {
  const Bench bench;
  REQUIRE(bench.train("run", 1, {"checkpoint.every=1", "debug.fail_at=before_shards:0:3:kill"}).exit_status !=
          0);
  const ProcessResult refused = bench.train("run", 1, {"optim.lr=0.02"});
  INFO(refused.output);
  REQUIRE(refused.exit_status == 2);
  REQUIRE(contains(refused, "optim.lr"));
  REQUIRE(contains(refused, "checkpoint.force"));
  expect_ok(bench.train("run", 1, {"optim.lr=0.02", "checkpoint.force=true"}));
  expect_ok(bench.train("run", 1, {"optim.lr=0.03", "checkpoint.resume=never"}));
  expect_ok(bench.train("fresh", 1, {"optim.lr=0.03"}));
  REQUIRE(bench.root("run") == bench.root("fresh"));
}

TEST_CASE("a gradient that is not finite never reaches the weights", "[fault]") {
  const Bench bench;
  const ProcessResult once = bench.train("once", 2, {}, {{"RETRACE_TEST_NAN", "1:9:1"}});
  expect_ok(once);
  INFO(once.output);
  REQUIRE(contains(once, "skipped by all ranks"));
  REQUIRE(contains(once, "tiny:"));
  const Manifest manifest = read_manifest(bench.run("once") / "checkpoints" / "step-5");
  REQUIRE(manifest.progress.skipped == 1);
  REQUIRE(manifest.progress.data_step == 5);
  REQUIRE(manifest.progress.optimizer_step == 4);
  const auto lines = read_jsonl(bench.run("once") / "metrics.jsonl");
  REQUIRE(get<int64_t>(lines.back(), "skipped", "metrics") == 1);

  const ProcessResult always =
      bench.train("always", 2, {"train.max_bad_steps=3", "train.steps=8", "checkpoint.every=1"},
                  {{"RETRACE_TEST_NAN", "0:8:100000"}});
  INFO(always.output);
  REQUIRE(always.exit_status == 1);
  REQUIRE(contains(always, "3 steps in a row"));
  for (const CheckpointFolder& folder : list_checkpoints(bench.run("always") / "checkpoints")) {
    const auto weights = open_checkpoint_weights(folder.path);
    std::vector<float> values(32);
    weights->read({"model.norm.weight", {32}, false}, 0, 32, values.data());
    for (float value : values) REQUIRE(std::isfinite(value));
  }
}

TEST_CASE("a frozen rank ends the job in time, and is named", "[fault]") {
  const Bench bench;
  for (const int rank : {0, 1}) {
    const auto start = std::chrono::steady_clock::now();
    const ProcessResult result = bench.train(
        fmt::format("run-{}", rank), 3,
        {"run.timeout_s=3", "checkpoint.every=1", fmt::format("debug.fail_at=mid_shard:{}:2:stop", rank)});
    const double took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    INFO(result.output);
    REQUIRE(result.exit_status == 75);
    REQUIRE(contains(result, fmt::format("rank {}", rank)));
    REQUIRE(took_s < 3 + 5 + 5);
  }
}

TEST_CASE("a killed rank ends the job on all ranks", "[fault]") {
  const Bench bench;
  const ProcessResult result =
      bench.train("run", 3, {"checkpoint.every=1", "debug.fail_at=after_shards:2:2:kill"});
  INFO(result.output);
  REQUIRE(result.exit_status == 75);
  REQUIRE(contains(result, "rank 2"));
}

TEST_CASE("a second job on a run folder is refused, and the holder is named", "[fault]") {
  const Bench bench;
  const RunLock lock(bench.run("run"));
  for (const int ranks : {1, 2}) {
    const ProcessResult result = bench.train("run", ranks);
    INFO(result.output);
    REQUIRE(result.exit_status == 75);
    REQUIRE(contains(result, std::to_string(::getpid())));
  }
}

TEST_CASE("SIGTERM leaves at a unit boundary, saves what is complete, and the rest follows later",
          "[fault]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=60"};
  expect_ok(bench.train("undisturbed", 2, keys));
  ProcessResult result;
  for (int attempt = 0; attempt < 3 && result.exit_status != 143; ++attempt)
    result = bench.train("stopped", 2, keys, {{"RETRACE_TEST_TERM_AT_STEP", "20"}});
  INFO(result.output);
  REQUIRE(result.exit_status == 143);
  const auto saved = list_checkpoints(bench.run("stopped") / "checkpoints");
  REQUIRE(saved.size() == 1);
  REQUIRE(saved.front().step >= 20);
  REQUIRE(saved.front().step < 60);
  expect_ok(bench.train("stopped", 2, keys));
  REQUIRE(bench.losses("stopped") == bench.losses("undisturbed"));
  REQUIRE(bench.root("stopped") == bench.root("undisturbed"));
}

TEST_CASE("a request file or SIGUSR1 brings a checkpoint, and training goes on", "[fault]") {
  const Bench bench;
  expect_ok(bench.train("run", 2, {"train.steps=30"}, {{"RETRACE_TEST_USR1_AT_STEP", "10"}}));
  std::set<int64_t> steps;
  for (const CheckpointFolder& folder : list_checkpoints(bench.run("run") / "checkpoints"))
    steps.insert(folder.step);
  REQUIRE(steps.size() == 2);
  REQUIRE(*steps.begin() >= 10);
  REQUIRE(*steps.rbegin() == 30);
}
