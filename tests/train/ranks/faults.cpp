// What kills, freezes, fills disks and spoils numbers; and what is left after it.
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <chrono>
#include <set>

#include "core/failpoint.h"
#include "core/files/files.h"
#include "core/metrics/metrics.h"
#include "core/ranks/run_lock.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

const std::vector<std::string> kEveryStep = {"train.steps=5", "checkpoint.every=1"};

int rank_of(const std::string& point) {
  static const std::set<std::string> of_every_rank = {"before_shards", "mid_shard", "after_shards"};
  return of_every_rank.count(point) ? 1 : 0;
}

std::vector<std::string> failing_at(const std::string& point, const std::string& action) {
  auto keys = kEveryStep;
  keys.push_back(fmt::format("debug.fail_at={}:{}:4:{}", point, rank_of(point), action));
  return keys;
}

}  // namespace

TEST_CASE("a save that dies or fails at any failpoint costs at most the last interval", "[fault]") {
  const Bench bench;
  expect_ok(bench.train("undisturbed", 2, kEveryStep));
  const std::string root = bench.root("undisturbed");
  for (const std::string& point : failpoint_names()) {
    for (const char* action : {"kill", "throw", "enospc"}) {
      INFO(point << " " << action);
      const std::string run = point + "-" + action;
      const ProcessResult result = bench.train(run, 2, failing_at(point, action));
      INFO(result.output);
      if (std::string(action) == "kill") {
        REQUIRE(result.exit_status == 75);
        REQUIRE(list_checkpoints(bench.run(run) / "checkpoints").front().step >= 3);
        expect_ok(bench.train(run, 2, kEveryStep));
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

TEST_CASE("a rank that freezes at any failpoint of a save ends the job, which then resumes",
          "[fault][slow]") {
  const Bench bench;
  expect_ok(bench.train("undisturbed", 2, kEveryStep));
  for (const std::string& point : failpoint_names()) {
    INFO(point);
    auto keys = failing_at(point, "stop");
    keys.push_back("run.timeout_s=3");
    const ProcessResult result = bench.train(point, 2, keys);
    INFO(result.output);
    REQUIRE(result.exit_status == 75);
    REQUIRE(contains(result, fmt::format("rank {}", rank_of(point))));
    expect_ok(bench.train(point, 2, kEveryStep));
    REQUIRE(bench.root(point) == bench.root("undisturbed"));
    expect_no_leftovers(bench.run(point));
  }
}

TEST_CASE("synchronous saves survive the same kills and give the same bytes", "[fault]") {
  const Bench bench;
  expect_ok(bench.train("undisturbed", 2, kEveryStep));
  auto sync = kEveryStep;
  sync.push_back("checkpoint.async=false");
  expect_ok(bench.train("sync", 2, sync));
  REQUIRE(bench.root("sync") == bench.root("undisturbed"));
  for (const char* point : {"mid_shard", "before_rename", "after_rename", "during_purge"}) {
    INFO(point);
    auto keys = failing_at(point, "kill");
    keys.push_back("checkpoint.async=false");
    REQUIRE(bench.train(point, 2, keys).exit_status == 75);
    expect_ok(bench.train(point, 2, sync));
    REQUIRE(bench.root(point) == bench.root("undisturbed"));
    expect_no_leftovers(bench.run(point));
  }
}

TEST_CASE("a rank whose disk fails at any operation of a save fails that save on all ranks, once",
          "[fault]") {
  const Bench bench;
  expect_ok(bench.train("undisturbed", 2, kEveryStep));
  bool clean = false;
  int failed = 0;
  // The operations of rank 1 in five saves; five a save.
  for (int nth = 1; !clean; nth += 4) {
    const std::string run = fmt::format("fault-{}", nth);
    const ProcessResult result =
        bench.train(run, 2, kEveryStep, {{"RETRACE_TEST_FAULT", fmt::format("1:{}:{}", nth, ENOSPC)}});
    INFO(run << result.output);
    clean = !contains(result, "No space left on device");
    const bool in_last_save = !clean && contains(result, "checkpoint of step 5 failed");
    REQUIRE(result.exit_status == (in_last_save ? 75 : 0));
    if (!clean) {
      ++failed;
      REQUIRE(contains(result, "rank 1"));
    }
    if (in_last_save) expect_ok(bench.train(run, 2, kEveryStep));
    REQUIRE(bench.root(run) == bench.root("undisturbed"));
    expect_no_leftovers(bench.run(run));
  }
  REQUIRE(failed >= 5);
}

TEST_CASE("a rank that ends or freezes in a step ends the job in time on all ranks, and is named",
          "[fault]") {
  const Bench bench;
  expect_ok(bench.train("undisturbed", 3, {"checkpoint.every=1"}));
  for (const std::string how : {"kill", "stop", "exit", "throw", "crash"}) {
    INFO(how);
    const fs::path error_file = bench.temp.path() / ("error-" + how + ".json");
    const auto start = std::chrono::steady_clock::now();
    const ProcessResult result =
        bench.train(how, 3, {"run.timeout_s=4", "checkpoint.every=1"},
                    {{"RETRACE_TEST_END", "2:2:" + how}, {"TORCHELASTIC_ERROR_FILE", error_file.string()}});
    const double took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    INFO(result.output);
    // A rank that fails by itself gives the job its own status.
    REQUIRE(result.exit_status == (how == "throw" || how == "crash" ? 1 : 75));
    REQUIRE(contains(result, "rank 2"));
    REQUIRE(took_s < 4 + 5 + 5);
    REQUIRE(read_file(error_file).find("\"message\"") != std::string::npos);
    const Json peer = parse_json(read_file(bench.run(how) / "last-words-0.json"), "last words");
    REQUIRE(peer.at("rank") == 0);
    REQUIRE(peer.at("reason").get<std::string>().find("rank 2") != std::string::npos);
    REQUIRE(peer.at("step").get<int64_t>() >= 1);
    if (how == "throw" || how == "crash") {
      const Json own = parse_json(read_file(bench.run(how) / "last-words-2.json"), "last words");
      REQUIRE(own.at("rank") == 2);
      REQUIRE(own.at("phase") == "forward and backward");
      REQUIRE(own.at("reason").get<std::string>().find(how == "crash" ? "signal 11" : "told to throw") !=
              std::string::npos);
    }
    expect_ok(bench.train(how, 3, {"checkpoint.every=1"}));
    REQUIRE(bench.root(how) == bench.root("undisturbed"));
    REQUIRE_FALSE(fs::exists(bench.run(how) / "last-words-0.json"));
  }
}

TEST_CASE("an outlier step is left out by all ranks together, also after a resume", "[fault]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=140", "train.max_z_score=6"};
  const std::map<std::string, std::string> spike = {{"RETRACE_TEST_SPIKE", "1:1081:1"}};  // in step 136
  const ProcessResult result = bench.train("run", 2, keys, spike);
  expect_ok(result);
  INFO(result.output);
  REQUIRE(contains(result, "left out by all ranks"));
  const Manifest manifest = read_manifest(bench.run("run") / "checkpoints" / "step-140");
  REQUIRE(manifest.progress.outliers >= 1);
  REQUIRE(manifest.progress.optimizer_step == 140 - manifest.progress.outliers);
  REQUIRE(manifest.progress.recent_losses.size() == 128);

  // Killed at step 131 and begun again: the calls of the hook are then counted from there.
  auto dying = keys;
  dying.insert(dying.end(), {"checkpoint.every=130", "debug.fail_at=before_latest:0:130:kill"});
  REQUIRE(bench.train("resumed", 2, dying).exit_status == 75);
  expect_ok(bench.train("resumed", 2, keys, {{"RETRACE_TEST_SPIKE", "1:41:1"}}));
  REQUIRE(bench.losses("resumed") == bench.losses("run"));
  REQUIRE(bench.root("resumed") == bench.root("run"));

  const ProcessResult off = bench.train("off", 2, {"train.steps=140"}, spike);
  expect_ok(off);
  REQUIRE_FALSE(contains(off, "left out"));
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
