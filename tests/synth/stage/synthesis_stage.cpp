// The synthesis stage: same bytes whatever happens on the way.
#include <catch2/catch_test_macros.hpp>

#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/recipe/run_config.h"
#include "synth/config.h"
#include "synth/record/store.h"
#include "synth/synthesis.h"
#include "tests/synth/memory_sources.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

const Schema& schema() {
  static const Schema all = Schema::of<RunConfig, SynthConfig, SearchConfig, HygieneConfig>();
  return all;
}

Recipe small_recipe(const std::vector<Override>& overrides = {}) {
  Recipe recipe(schema());
  recipe.set({"synth.read_budget_kib", "1"});
  recipe.set({"synth.write_chunk_kib", "1"});
  recipe.set({"search.max_slots", "3"});
  recipe.set({"search.iterations", "2"});
  for (const Override& o : overrides) recipe.set(o);
  return recipe;
}

const std::vector<Snapshot>& snapshots() {
  static const std::vector<Snapshot> all = {
      make_repository("alpha").snapshot, make_repository("beta").snapshot, make_repository("gamma").snapshot};
  return all;
}

SynthJob job_in(const fs::path& out) {
  SynthJob job;
  job.out = out;
  slice_of_snapshots(&job, snapshots(), {0, 2, 1});
  job.weights_name = "bytes";
  return job;
}

Json run_searched(const fs::path& out, const Recipe& recipe = small_recipe()) {
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 1 << 20);
  SynthJob job = job_in(out);
  job.models.scorer = scorer.get();
  return run_synthesis(recipe, job);
}

struct HookGuard {
  ~HookGuard() { set_file_operation_hook(nullptr); }
};

}  // namespace

TEST_CASE("a stage publishes its records in order with their candidates and sums", "[unit]") {
  const TempFolder folder;
  const Json summary = run_searched(folder.path());
  REQUIRE(list_folder(folder.path()) ==
          std::vector<std::string>{"candidates.jsonl", "done.json", "example.html", "ledger.db",
                                   "ledger.db-journal", "summary.json", "trajectories.traj"});
  std::vector<std::string> origins;
  uint64_t written = 0;
  for_each_trajectory(folder.path(), [&](const Trajectory& t) {
    origins.push_back(t.origin);
    REQUIRE(t.made_by["weights"] == "bytes");
    for (const TreeFile& file : t.tree) written += file.size;
  });
  REQUIRE(origins == std::vector<std::string>{"alpha-1.0.tar.gz", "gamma-1.0.tar.gz", "beta-1.0.tar.gz"});
  REQUIRE(summary["counts"]["repositories"] == 3);
  REQUIRE(summary["counts"]["source_bytes"] == written);
  REQUIRE(summary["bytes_by_kind"]["write"] == written);
  REQUIRE(summary["dropped_files"]["binary"] == 3);
  REQUIRE(summary["search"]["searched"] == 9);
  REQUIRE(summary["search"]["scorer"].contains("gain_nats_per_byte"));
  const std::string page = read_file(folder.path() / "example.html");
  for (const char* part : {"<!doctype html>", "class=\"step think\"", "class=\"tried\""})
    REQUIRE(page.find(part) != std::string::npos);
}

TEST_CASE("a finished stage answers at once, with or without its scorer; another recipe is done anew",
          "[unit]") {
  const TempFolder folder;
  const Json first = run_searched(folder.path());
  const auto files = results_in(folder.path());
  REQUIRE(run_searched(folder.path()) == first);
  REQUIRE(run_synthesis(small_recipe(), job_in(folder.path())) == first);
  REQUIRE(results_in(folder.path()) == files);
  REQUIRE(is_synthesised(small_recipe(), job_in(folder.path())));
  SynthJob later = job_in(folder.path());
  later.weights_name = "other";
  REQUIRE_FALSE(is_synthesised(small_recipe(), later));
  REQUIRE_FALSE(is_synthesised(small_recipe({{"run.seed", "2"}}), job_in(folder.path())));
  REQUIRE_FALSE(is_synthesised(small_recipe(), job_in(folder.path() / "elsewhere")));
  const Json other = run_searched(folder.path(), small_recipe({{"run.seed", "2"}}));
  REQUIRE(results_in(folder.path()) != files);
  REQUIRE(other["counts"] == first["counts"]);
}

TEST_CASE("without weights, or with preset none, first drafts stand", "[unit]") {
  const TempFolder one, two;
  run_synthesis(small_recipe(), job_in(one.path()));
  run_searched(two.path(), small_recipe({{"search.preset", "none"}}));
  for (const fs::path& folder : {one.path(), two.path()})
    for_each_trajectory(folder, [&](const Trajectory& t) {
      for (const Slot& slot : t.slots) REQUIRE(slot.chosen == slot.initial);
      REQUIRE(t.made_by["preset"] == "none");
    });
}

TEST_CASE("a repository that comes twice, or empty, is counted and left out", "[unit]") {
  const TempFolder folder;
  std::vector<Snapshot> all = snapshots();
  Snapshot empty;
  empty.tree_hash = "none";
  all.push_back(empty);
  SynthJob job;
  job.out = folder.path();
  list_snapshots(&job, all, {0, 1, 0, 3});
  const Json summary = run_synthesis(small_recipe({{"hygiene.near_duplicates", "keep"}}), job);
  REQUIRE(summary["counts"]["repositories"] == 2);
  REQUIRE(summary["dropped"]["duplicate_repository"] == 1);
  REQUIRE(summary["dropped"]["empty_repository"] == 1);
}

TEST_CASE("a stage that fails at any file operation goes on to the same bytes", "[unit]") {
  const TempFolder good;
  run_searched(good.path());
  const auto expected = results_in(good.path());
  const HookGuard guard;
  int64_t operations = 0;
  {
    const TempFolder counted;
    set_file_operation_hook([&](const char*, const fs::path&) { ++operations; });
    run_searched(counted.path());
  }
  REQUIRE(operations > 40);
  for (int64_t fail_at = 0; fail_at < operations; fail_at += 1 + operations / 12) {
    const TempFolder folder;
    int64_t at = 0;
    set_file_operation_hook([&](const char* operation, const fs::path&) {
      if (at++ == fail_at) fail(Code::io, "injected: {}", operation);
    });
    REQUIRE_THROWS_AS(run_searched(folder.path()), Error);
    set_file_operation_hook(nullptr);
    run_searched(folder.path());
    INFO("failed at operation " << fail_at);
    REQUIRE(results_in(folder.path()) == expected);
  }
}

TEST_CASE("two ranks share the work and give the bytes of one", "[unit]") {
  const TempFolder alone, shared;
  const Json expected = run_searched(alone.path());
  const auto coordinator = make_in_process_coordinator();
  std::vector<Json> summaries(2);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      ByteEngine engine;
      const auto scorer = make_local_scorer(engine, byte_tokenizer(), 1 << 20);
      SynthJob job = job_in(shared.path());
      job.models.scorer = scorer.get();
      job.ranks = {rank, 2, coordinator.get()};
      summaries[static_cast<size_t>(rank)] = run_synthesis(small_recipe(), job);
    });
  for (std::thread& thread : threads) thread.join();
  REQUIRE(summaries[0] == expected);
  REQUIRE(summaries[1] == expected);
  REQUIRE(results_in(shared.path()) == results_in(alone.path()));
}
