// What a rank tells of itself: traces of bounded size, stragglers, outliers, last words.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <csignal>

#include "core/files/files.h"
#include "core/metrics/metrics.h"
#include "tests/train/testing.h"
#include "train/ranks/last_words.h"
#include "train/step/outliers.h"
#include "train/step/stragglers.h"
#include "train/step/trace.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

TEST_CASE("trace: pieces of a phase add up, and the files stay small", "[unit]") {
  TempFolder temp;
  constexpr uint64_t kSmall = 2000;
  Trace trace(temp.path(), 3, kSmall);
  for (int64_t step = 1; step <= 100; ++step) {
    const auto now = Clock::now();
    trace.add(Phase::forward, now, 0.25);
    trace.add(Phase::forward, now, 0.5);
    trace.add(Phase::gather_wait, now, 0.125);
    REQUIRE(trace.total_s(Phase::forward) == 0.75);
    REQUIRE(trace.busy_s() == 0.75);
    trace.end_step(step);
    REQUIRE(trace.busy_s() == 0);
  }
  const auto lines = read_jsonl(temp.path() / "trace-3.jsonl");
  REQUIRE(lines.back().at("step") == 100);
  REQUIRE(lines.back().at("phase") == "gather_wait");
  REQUIRE(lines.front().at("duration_s") == 0.75);
  REQUIRE(lines.front().at("count") == 2);
  REQUIRE(list_folder(temp.path()) == std::vector<std::string>{"trace-3.jsonl", "trace-3.jsonl.1"});
  for (const char* name : {"trace-3.jsonl", "trace-3.jsonl.1"})
    REQUIRE(fs::file_size(temp.path() / name) <= kSmall);
}

TEST_CASE("trace: a disk that does not take it stops the trace alone", "[fault]") {
  TempFolder temp;
  Trace trace(temp.path(), 0);
  set_file_operation_hook(
      [](const char* operation, const fs::path& path) { fail_with_errno(operation, path, 28); });
  for (int64_t step = 1; step <= 3; ++step) {
    trace.add(Phase::forward, Clock::now(), 1);
    trace.end_step(step);
  }
  set_file_operation_hook(nullptr);
  REQUIRE(fs::file_size(temp.path() / "trace-0.jsonl") == 0);
}

TEST_CASE("stragglers: the rank that the others wait for is named", "[unit]") {
  Stragglers one, three;
  REQUIRE(one.report().empty());
  one.add({1});
  REQUIRE(one.report().empty());
  for (int i = 0; i < 9; ++i) three.add({1, 1, 2});
  const Stragglers::Step last = three.add({4, 1, 1});
  REQUIRE(last.slowest == 0);
  REQUIRE(last.slowest_s == 4);
  REQUIRE(last.mean_s == 2);
  const std::string text = three.report();
  INFO(text);
  REQUIRE(text.find("rank 2 was the slowest in 9 of 10 steps, 1.900 s of work a step against 1.150 s") !=
          std::string::npos);
}

TEST_CASE("outliers: scores are standard deviations above a full window, and survive a save", "[unit]") {
  OutlierDetector whole({}, {});
  for (int i = 0; i < 128; ++i) {
    const OutlierDetector::Scores early = whole.add(i % 2, 5);
    REQUIRE(early.loss == 0);
    REQUIRE(early.norm == 0);
  }
  OutlierDetector resumed(whole.losses(), whole.norms());
  const OutlierDetector::Scores scores = whole.add(5.5, 5);
  REQUIRE(scores.loss == Catch::Approx(10));  // mean 0.5, deviation 0.5
  REQUIRE(scores.norm == 0);                  // a constant has no deviation
  REQUIRE(resumed.add(5.5, 5).loss == scores.loss);
  REQUIRE(whole.losses().size() == 128);
  REQUIRE(whole.add(-100, 5).loss < 0);
}

TEST_CASE("last words: an error, or a signal that kills, leaves rank, step, phase and reason", "[fault]") {
  for (const int number : {0, SIGSEGV, SIGABRT}) {
    TempFolder temp;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      prepare_last_words(temp.path(), 5);
      set_last_activity(1234567890123, "forward and backward");
      if (number != 0) ::raise(number);
      write_last_words("a \"reason\"\nin two lines");
      write_last_words("a later one");
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) == (number != 0));
    const Json words = parse_json(read_file(temp.path() / "last-words-5.json"), "last words");
    REQUIRE(words.at("rank") == 5);
    REQUIRE(words.at("step") == 1234567890123);
    REQUIRE(words.at("phase") == "forward and backward");
    REQUIRE(words.at("reason") ==
            (number == 0 ? "a \"reason\"\nin two lines" : fmt::format("killed by signal {}", number)));
    REQUIRE(words.at("time_s").get<int64_t>() > 1'600'000'000);
  }
}
