// SIGTERM, SIGUSR1 and requests: what a job saves when it is asked to, and when it must go.
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "core/cli/cli.h"
#include "core/files/files.h"
#include "core/ranks/run_lock.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"
#include "train/commands.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

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

TEST_CASE("SIGTERM waits for a save that is under way, then saves the last completed step", "[fault]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=200", "checkpoint.every=20"};
  expect_ok(bench.train("undisturbed", 2, keys));
  const ProcessResult result =
      bench.train("stopped", 2, keys, {{"RETRACE_TEST_TERM_AT_STEP", "21"}, {"RETRACE_TEST_SLOW_MS", "300"}});
  INFO(result.output);
  REQUIRE(result.exit_status == 143);
  const auto saved = list_checkpoints(bench.run("stopped") / "checkpoints");
  REQUIRE(saved.front().step >= 21);
  REQUIRE(saved.back().step == 20);
  expect_no_leftovers(bench.run("stopped"));
  expect_ok(bench.train("stopped", 2, keys));
  REQUIRE(bench.losses("stopped") == bench.losses("undisturbed"));
  REQUIRE(bench.root("stopped") == bench.root("undisturbed"));
}

TEST_CASE("SIGTERM with too little grace leaves without a save, and the older checkpoint stays", "[fault]") {
  const Bench bench;
  const std::vector<std::string> keys = {"train.steps=200", "checkpoint.every=20"};
  auto hurried = keys;
  hurried.push_back("checkpoint.grace_s=0.3");
  const ProcessResult result =
      bench.train("run", 2, hurried, {{"RETRACE_TEST_TERM_AT_STEP", "41"}, {"RETRACE_TEST_SLOW_MS", "900"}});
  INFO(result.output);
  REQUIRE(result.exit_status == 143);
  REQUIRE(contains(result, "could not be saved"));
  REQUIRE(list_checkpoints(bench.run("run") / "checkpoints").front().step == 20);
  expect_ok(bench.train("run", 2, keys));
}

TEST_CASE("SIGUSR1 to a rank brings a checkpoint, and training goes on", "[fault]") {
  const Bench bench;
  expect_ok(bench.train("run", 2, {"train.steps=30"}, {{"RETRACE_TEST_USR1_AT_STEP", "10"}}));
  std::set<int64_t> steps;
  for (const CheckpointFolder& folder : list_checkpoints(bench.run("run") / "checkpoints"))
    steps.insert(folder.step);
  REQUIRE(steps.size() == 2);
  REQUIRE(*steps.begin() >= 10);
  REQUIRE(*steps.rbegin() == 30);
}

TEST_CASE("a request file brings a checkpoint; `retrace save` writes it only for a job that runs",
          "[fault]") {
  const Bench bench;
  make_folders(bench.run("run"));
  write_file(bench.run("run") / "save.request", "");
  expect_ok(bench.train("run", 2, {"train.steps=10"}));
  REQUIRE_FALSE(fs::exists(bench.run("run") / "save.request"));
  const auto found = list_checkpoints(bench.run("run") / "checkpoints");
  REQUIRE(found.size() == 2);
  REQUIRE(found.back().step == 1);

  std::vector<std::string> words = {"retrace", "save", bench.run("run").string()};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  const auto ask = [&] { return run_command_line(3, argv.data(), verbs(), schema()); };
  REQUIRE(ask() == 3);
  REQUIRE_FALSE(fs::exists(bench.run("run") / "save.request"));
  const RunLock lock(bench.run("run"));
  REQUIRE(ask() == 0);
  REQUIRE(fs::exists(bench.run("run") / "save.request"));
}
