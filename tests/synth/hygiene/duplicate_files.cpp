// Files that stand in several repositories: the first keeps them, whatever the ranks, threads and kills.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/random.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/record/store.h"
#include "synth/stage/gathering.h"
#include "tests/synth/input/input_testing.h"
#include "tests/synth/record_testing.h"
#include "tests/synth/stream_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::streaming;
using testing::put;
using testing::snapshot_of;

namespace {

// A module of its own; the last `changed` of its sixty lines differ from those of the same number.
std::string module_of(int number, int changed = 0) {
  Random random(static_cast<uint64_t>(number), 1), other(static_cast<uint64_t>(number), 2);
  std::string text = fmt::format("\"\"\"Module {}.\"\"\"\n", number);
  for (int i = 0; i < 60; ++i) {
    const uint64_t a = random.below(100000), b = random.below(100000);
    text += fmt::format("name_{} = call_{}(value_{}, {})\n", a, i < 60 - changed ? b : other.below(100000),
                        number, i);
  }
  return text;
}

// a: vendor (unique here), own. b: a copy of a's vendor elsewhere, own, a near copy of a's own. c: nothing
// but copies. Each with the same licence, and the same short __init__.py.
void make_sharing_repositories(const fs::path& folder) {
  const std::string licence = "SPDX-License-Identifier: MIT\n" + std::string(400, 'w');
  for (const char* name : {"a", "b", "c", "d"}) {
    put(folder / name / "pkg" / "__init__.py", "from .own import name\n");
    put(folder / name / "LICENSE", licence);
  }
  put(folder / "a" / "pkg" / "own.py", module_of(1));
  put(folder / "a" / "compat" / "six.py", module_of(2));
  put(folder / "a" / "compat" / "six_again.py", module_of(2));  // a twin inside one repository stays
  put(folder / "b" / "pkg" / "own.py", "from . import lib\n\n" + module_of(3));
  put(folder / "b" / "pkg" / "lib.py", module_of(2));
  put(folder / "b" / "pkg" / "near.py", module_of(1, 2));
  put(folder / "c" / "pkg" / "own.py", module_of(3, 0));
  put(folder / "c" / "pkg" / "lib.py", module_of(2));
  put(folder / "c" / "pkg" / "near.py", module_of(1));
  put(folder / "d" / "pkg" / "own.py", module_of(4));
}

std::map<std::string, std::set<std::string>> trees_in(const fs::path& out) {
  std::map<std::string, std::set<std::string>> trees;
  for_each_trajectory(out, [&](const Trajectory& t) {
    for (const TreeFile& file : t.tree) trees[t.origin].insert(file.path);
    replay(t);
  });
  return trees;
}

const std::vector<Override> kExact = {{"hygiene.near_duplicates", "keep"},
                                      {"hygiene.duplicate_files", "exact"}},
                            kNear = {{"hygiene.near_duplicates", "keep"},
                                     {"hygiene.duplicate_files", "near"}};
using Paths = std::set<std::string>;

}  // namespace

TEST_CASE("which files count as duplicates: source code of enough words", "[unit]") {
  HygieneConfig config;
  const Snapshot snapshot =
      snapshot_of({{"own.py", module_of(1)}, {"__init__.py", "import own\n"}, {"LICENSE", module_of(1)}});
  REQUIRE(file_signatures(snapshot, config).empty());
  config.duplicate_files = "exact";
  const auto exact = file_signatures(snapshot, config);
  REQUIRE(exact.size() == 1);
  REQUIRE(exact[0].path == "own.py");
  REQUIRE(exact[0].signature.empty());
  config.duplicate_files = "near";
  REQUIRE(file_signatures(snapshot, config)[0].signature.size() == 512);
  config.duplicate_min_words = 5000;
  REQUIRE(file_signatures(snapshot, config).empty());
  config.duplicate_min_words = 5;
  const auto near = file_signatures_from_json(to_json(exact), "test");
  REQUIRE((near.size() == 1 && near[0].hash == exact[0].hash && near[0].language == "python"));
}

TEST_CASE("the first repository keeps a file, later ones lose it, and the losses are counted", "[unit]") {
  const testing::TempFolder input;
  const handmade::TempFolder kept, exact, near;
  make_sharing_repositories(input.path());
  const auto run = [&](const fs::path& out, const std::vector<Override>& overrides) {
    return run_synthesis(stream_recipe(overrides), stream_job(input.path(), out));
  };
  const Json all = run(kept.path(), {{"hygiene.near_duplicates", "keep"}});
  REQUIRE(all["sources"]["kept"] == 4);
  REQUIRE_FALSE(fs::exists(kept.path() / "duplicates.jsonl"));
  REQUIRE_FALSE(all["dropped_files"].contains("duplicate_file"));

  const Json one = run(exact.path(), kExact);
  auto trees = trees_in(exact.path());
  REQUIRE(trees["a"] ==
          Paths{"LICENSE", "pkg/__init__.py", "pkg/own.py", "compat/six.py", "compat/six_again.py"});
  REQUIRE(trees["b"] == Paths{"LICENSE", "pkg/__init__.py", "pkg/near.py", "pkg/own.py"});
  REQUIRE(trees["c"] == Paths{"LICENSE", "pkg/__init__.py", "pkg/own.py"});  // without b's import line
  REQUIRE(one["sources"]["dropped_files"]["duplicate_file"] == 3);
  REQUIRE(one["dropped_files"]["duplicate_file"] == 3);
  REQUIRE(one["counts"]["files"] == 15);
  REQUIRE(one["sources"]["first_duplicate_files"] == Json({"b:pkg/lib.py is a duplicate of a:compat/six.py",
                                                           "c:pkg/lib.py is a duplicate of a:compat/six.py",
                                                           "c:pkg/near.py is a duplicate of a:pkg/own.py"}));
  const std::string lines = read_file(exact.path() / "duplicates.jsonl");
  REQUIRE(lines.find(R"("repository":"b","path":"pkg/lib.py","reason":"duplicate_file",)"
                     R"("duplicate_of":"a:compat/six.py")") != std::string::npos);
  const int64_t python = one["sources"]["bytes_by_language"]["python"].get<int64_t>();
  int64_t in_records = 0;
  for_each_trajectory(exact.path(), [&](const Trajectory& t) {
    for (const TreeFile& file : t.tree)
      if (file.path != "LICENSE") in_records += static_cast<int64_t>(file.size);
  });
  REQUIRE(python == in_records);

  const Json two = run(near.path(), kNear);
  REQUIRE(two["sources"]["dropped"] == Json({{"duplicate_files", 1}}));  // c has nothing of its own
  trees = trees_in(near.path());
  REQUIRE(trees["b"] == Paths{"LICENSE", "pkg/__init__.py", "pkg/own.py"});
  REQUIRE(trees.count("c") == 0);
  REQUIRE(two["sources"]["dropped_files"]["near_duplicate_file"] == 1);
  REQUIRE(two["sources"]["dropped_files"]["duplicate_file"] == 1);

  // Another rule is another stage, and the first one again gives the first bytes.
  run(near.path(), kExact);
  REQUIRE(results_in(near.path()) == results_in(exact.path()));
  run(near.path(), {{"hygiene.near_duplicates", "keep"}});
  REQUIRE(results_in(near.path()) == results_in(kept.path()));
}

TEST_CASE("duplicate files are judged alike by three ranks and after kills", "[unit]") {
  const handmade::TempFolder input, alone, shared, stormy;
  make_sharing_repositories(input.path());
  const fs::path more = make_listed_repositories(input.path() / "more", 12);
  for (const char* name : {"a", "b", "c", "d"})
    fs::rename(input.path() / name, input.path() / "more" / (std::string("x") + name));
  write_file(more, read_file(more) + "xa\nxb\nxc\nxd\n");
  const Recipe recipe = stream_recipe(kNear);
  const auto begin = std::chrono::steady_clock::now();
  const Json expected = run_synthesis(recipe, stream_job(more, alone.path()));
  const double whole_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  REQUIRE(expected["sources"]["dropped_files"]["duplicate_file"] == 1);
  REQUIRE(expected["sources"]["dropped_files"]["near_duplicate_file"] == 1);
  const auto coordinator = make_in_process_coordinator();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank)
    threads.emplace_back([&, rank] {
      SynthJob job = stream_job(more, shared.path());
      job.ranks = {rank, 3, coordinator.get()};
      run_synthesis(recipe, job);
    });
  for (std::thread& thread : threads) thread.join();
  REQUIRE(results_in(shared.path()) == results_in(alone.path()));
  // One that fails when what was judged is to be committed, then kills at random moments.
  for (const bool judging : {true, false}) {
    const fs::path out = stormy.path() / (judging ? "judging" : "random");
    bool failed = false;
    set_file_operation_hook([&](const char*, const fs::path& path) {
      if (judging && path == "ledger" && fs::exists(out / "items" / "judge.db.files") && !failed) {
        failed = true;
        fail(Code::io, "no space left");
      }
    });
    if (judging) REQUIRE_THROWS_AS(run_synthesis(recipe, stream_job(more, out)), Error);
    set_file_operation_hook(nullptr);
    REQUIRE(failed == judging);
    Random random(7, 1);
    for (int kill = 0; kill < 6; ++kill)
      survives([&] { run_synthesis(recipe, stream_job(more, out)); }, random.uniform() * whole_s);
    run_synthesis(recipe, stream_job(more, out));
    REQUIRE(results_in(out) == results_in(alone.path()));
  }
}
