// The streaming stage: the same bytes as from memory, after kills, faults and at any number of ranks; and a
// ledger that holds every source once.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/random.h"
#include "synth/record/store.h"
#include "synth/stage/ledger.h"
#include "tests/synth/record_testing.h"
#include "tests/synth/stream_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::streaming;
using handmade::TempFolder;

namespace {

using Counts = std::map<std::string, int64_t>;

Counts counts_in(const fs::path& out) {
  return ledger_counts(out / "ledger.db");
}

// Kills `kills` processes at random moments of the work on a list of repositories.
void soak(int kills, uint64_t seed) {
  const TempFolder input, calm, stormy;
  const fs::path list = make_listed_repositories(input.path(), 24);
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(survives([&] { run_synthesis(stream_recipe(), stream_job(list, calm.path())); }, 120));
  const double whole_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto expected = results_in(calm.path());
  REQUIRE(expected.count("trajectories.traj") == 1);
  Random random(seed, 1);
  fs::path out = stormy.path() / "0";
  int killed = 0, ended = 0;
  while (killed < kills) {
    const double moment = random.uniform() * whole_s * (random.below(3) == 0 ? 1.0 : 0.4);
    if (!survives([&] { run_synthesis(stream_recipe(), stream_job(list, out)); }, moment)) {
      ++killed;
      continue;
    }
    REQUIRE(results_in(out) == expected);
    REQUIRE(counts_in(out) == counts_in(calm.path()));
    out = stormy.path() / std::to_string(++ended);
  }
  run_synthesis(stream_recipe(), stream_job(list, out));
  REQUIRE(results_in(out) == expected);
  REQUIRE(counts_in(out) == counts_in(calm.path()));
}

struct HookGuard {
  ~HookGuard() { set_file_operation_hook(nullptr); }
};

}  // namespace

TEST_CASE("a list of repositories of every kind is told state by state", "[unit]") {
  const TempFolder input, out;
  const fs::path list = make_listed_repositories(input.path(), 6);
  const Json summary = run_synthesis(stream_recipe(), stream_job(list, out.path()));
  const Json& sources = summary.at("sources");
  REQUIRE(sources["listed"] == 15);  // 6 folders, 3 in JSONL, packed, twin, near, none, broken, absent
  REQUIRE(sources["kept"] == 10);
  REQUIRE(sources["failed"] == 2);
  REQUIRE(sources["first_failed"] == Json({"zz-absent", "zz-broken.tar.gz"}));
  REQUIRE(sources["dropped"] ==
          Json({{"duplicate_repository", 1}, {"empty_repository", 1}, {"near_duplicate_repository", 1}}));
  REQUIRE(sources["licences"]["MIT"] == 3);
  REQUIRE(sources["dropped_files"]["binary"] == 1);
  REQUIRE(summary["counts"]["repositories"] == 10);
  std::vector<std::string> origins;
  for_each_trajectory(out.path(), [&](const Trajectory& t) { origins.push_back(t.origin); });
  REQUIRE(origins == std::vector<std::string>{"owner/line0", "owner/line1", "owner/line2", "folder000",
                                              "folder001", "folder002", "folder003", "folder004", "folder005",
                                              "packed-1.0.tar.gz"});
  const Counts counts = counts_in(out.path());
  REQUIRE(counts.at("done") == 10);
  REQUIRE(counts.at("dropped") == 3);
  REQUIRE(counts.at("dropped: near_duplicate_repository") == 1);
  REQUIRE(counts.at("failed") == 2);
  REQUIRE(counts.count("listed") + counts.count("planned") == 0);
}

TEST_CASE("a slice that is judged already gives the records of listed sources", "[unit]") {
  const TempFolder input, listed, sliced;
  make_listed_repositories(input.path(), 5);
  for (const char* name : {"twin", "zz-near", "zz-none", "zz-broken.tar.gz", "list.txt"})
    fs::remove_all(input.path() / name);
  Json expected = run_synthesis(stream_recipe(), stream_job(input.path(), listed.path()));
  SynthJob job;
  job.out = sliced.path();
  std::vector<LedgerRow> rows;
  plan_synthesis(stream_recipe(), stream_job(input.path(), listed.path()),
                 [&](Ledger& ledger) { ledger.each([&](const LedgerRow& row) { rows.push_back(row); }); });
  REQUIRE(rows.size() == 9);
  job.slice = [&](const auto& use) {
    for (LedgerRow row : rows) {
      row.state = "planned";
      use(row);
    }
  };
  REQUIRE_FALSE(is_synthesised(stream_recipe(), job));
  REQUIRE(run_synthesis(stream_recipe(), job) == expected);
  REQUIRE(results_in(sliced.path()) == results_in(listed.path()));
  REQUIRE(is_synthesised(stream_recipe(), job));
  REQUIRE(run_synthesis(stream_recipe(), job) == expected);
  write_file(input.path() / "folder001" / "pkg" / "base.py", "VALUE = 1\n");
  SynthJob again = job;
  again.out = sliced.path() / "again";
  try {
    run_synthesis(stream_recipe(), again);
    FAIL("a repository that changed was not noticed");
  } catch (const Error& error) {
    REQUIRE(error.status() == 3);
    REQUIRE(error.message() == "repository folder001 changed since this run began");
  }
}

TEST_CASE("a finished stage answers at once; what changed is read again", "[unit]") {
  const TempFolder input, out;
  const fs::path list = make_listed_repositories(input.path(), 4);
  const auto job = stream_job(list, out.path());
  const Json first = run_synthesis(stream_recipe(), job);
  const auto files = results_in(out.path());
  const auto written = fs::last_write_time(out.path() / "done.json");
  REQUIRE(run_synthesis(stream_recipe(), job) == first);
  REQUIRE(fs::last_write_time(out.path() / "done.json") == written);
  write_file(input.path() / "folder002" / "pkg" / "more.py", "VALUE = 1\n");
  fs::remove_all(input.path() / "zz-none");
  const Json second = run_synthesis(stream_recipe(), job);
  REQUIRE(results_in(out.path()) != files);
  REQUIRE(second["counts"]["files"].get<int64_t>() == first["counts"]["files"].get<int64_t>() + 1);
  REQUIRE(second["sources"]["listed"] == first["sources"]["listed"]);  // the absent one fails now
  REQUIRE(second["sources"]["failed"] == 3);
  const TempFolder afresh;
  run_synthesis(stream_recipe(), stream_job(list, afresh.path()));
  REQUIRE(results_in(afresh.path()) == results_in(out.path()));
}

TEST_CASE("killed 20 times at random moments, a stage ends with the same bytes", "[unit]") {
  soak(20, 1);
}

TEST_CASE("killed 100 times at random moments, a stage ends with the same bytes", "[slow]") {
  soak(100, 2);
}

TEST_CASE("a streaming stage that fails at any file operation goes on to the same bytes", "[unit]") {
  const TempFolder input, good;
  const fs::path list = make_listed_repositories(input.path(), 3);
  const auto run = [&](const fs::path& out) { run_synthesis(stream_recipe(), stream_job(list, out)); };
  const HookGuard guard;
  int64_t operations = 0;
  set_file_operation_hook([&](const char*, const fs::path&) { ++operations; });
  run(good.path());
  set_file_operation_hook(nullptr);
  REQUIRE(operations > 40);
  for (int64_t fail_at = 0; fail_at < operations; fail_at += 1 + operations / 12) {
    const TempFolder folder;
    int64_t at = 0;
    set_file_operation_hook([&](const char*, const fs::path&) {
      if (at++ == fail_at) fail(Code::io, "no space left");
    });
    INFO("failed at operation " << fail_at);
    bool failed = false;
    try {
      run(folder.path());
    } catch (const Error& error) {
      failed = true;
      REQUIRE(error.status() == 75);
    }
    set_file_operation_hook(nullptr);
    REQUIRE(failed);
    run(folder.path());
    REQUIRE(results_in(folder.path()) == results_in(good.path()));
  }
}

TEST_CASE("three ranks share the reading and the making and give the bytes of one", "[unit]") {
  const TempFolder input, alone, shared;
  const fs::path list = make_listed_repositories(input.path(), 12);
  const Json expected = run_synthesis(stream_recipe(), stream_job(list, alone.path()));
  const auto coordinator = make_in_process_coordinator();
  for (int time = 0; time < 2; ++time) {  // the second time it is finished
    std::vector<Json> summaries(3);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < 3; ++rank)
      threads.emplace_back([&, rank] {
        SynthJob job = stream_job(list, shared.path());
        job.ranks = {rank, 3, coordinator.get()};
        summaries[static_cast<size_t>(rank)] = run_synthesis(stream_recipe(), job);
      });
    for (std::thread& thread : threads) thread.join();
    for (const Json& summary : summaries) REQUIRE(summary == expected);
    REQUIRE(results_in(shared.path()) == results_in(alone.path()));
  }
}

TEST_CASE("nothing left, or a repository in two places of a JSONL file, is one clear error", "[unit]") {
  const TempFolder input, out;
  write_file(input.path() / "only.tar", "no archive");
  const auto status_of = [&](const fs::path& source) {
    try {
      run_synthesis(stream_recipe(), stream_job(source, out.path()));
    } catch (const Error& error) {
      return error.status();
    }
    return 0;
  };
  REQUIRE(status_of(input.path() / "only.tar") == 3);
  const auto line = [](const char* repository, const char* path) {
    return to_text({{"repository", repository}, {"path", path}, {"content", "x = 1\n"}}) + "\n";
  };
  write_file(input.path() / "mixed.jsonl", line("a", "1.py") + line("b", "1.py") + line("a", "2.py"));
  REQUIRE(status_of(input.path() / "mixed.jsonl") == 3);
  write_file(input.path() / "mixed.jsonl", line("a", "1.py") + "{\"repository\": 3}\n");
  REQUIRE(status_of(input.path() / "mixed.jsonl") == 3);
}
