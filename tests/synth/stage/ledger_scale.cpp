// Tens and hundreds of thousands of repositories: listed, planned, killed and resumed in memory that does not
// grow with their number.
#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "core/json.h"
#include "core/random.h"
#include "synth/record/store.h"
#include "synth/stage/ledger.h"
#include "tests/synth/input/input_testing.h"
#include "tests/synth/record_testing.h"
#include "tests/synth/stream_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::streaming;
using handmade::TempFolder;

namespace {

constexpr int64_t kGrowthKib = int64_t{48}
                               << 10;  // two page caches of SQLite, 16 MiB each, and their overhead

struct Measured {
  int64_t peak_kib = 0;
  Json counts;
};

// Plans `input` in a process of its own.
Measured plan(const fs::path& input, const fs::path& out, const fs::path& note) {
  REQUIRE(survives(
      [&] {
        const Json counts = plan_synthesis(stream_recipe(), stream_job(input, out));
        write_file(note, to_text({{"peak_kib", status_kib("VmHWM")}, {"counts", counts}}));
      },
      3600));
  const Json json = parse_json(read_file(note), "note");
  return {get<int64_t>(json, "peak_kib", "note"), json.at("counts")};
}

// Plans n tiny repositories with `kills` kills on the way, then again; returns the largest peak.
int64_t plan_tiny(int64_t n, int kills, double longest_s) {
  const TempFolder folder;
  const fs::path input = folder.path() / "tiny.jsonl.zst", out = folder.path() / "out",
                 note = folder.path() / "note.json";
  write_tiny_corpus(input, n);
  Random random(3, static_cast<uint64_t>(n));
  for (int k = 0; k < kills; ++k)
    survives([&] { plan_synthesis(stream_recipe(), stream_job(input, out)); }, random.uniform() * longest_s);
  const Measured first = plan(input, out, note), again = plan(input, out, note);
  const Json expected = {{"dropped", n / 1000}, {"planned", n - n / 1000}};
  REQUIRE(first.counts == expected);
  REQUIRE(again.counts == expected);
  REQUIRE(ledger_counts(out / "ledger.db").at("dropped: duplicate_repository") == n / 1000);
  return std::max(first.peak_kib, again.peak_kib);
}

}  // namespace

TEST_CASE("30k tiny repositories are planned and resumed without growth in memory", "[unit]") {
  const int64_t small = plan_tiny(3000, 2, 1), large = plan_tiny(30000, 3, 5);
  INFO("peak of 3,000: " << small << " KiB, of 30,000: " << large << " KiB");
  REQUIRE(large < small + kGrowthKib);
}

TEST_CASE("300k tiny repositories are planned and resumed without growth in memory", "[slow]") {
  const int64_t small = plan_tiny(3000, 2, 1), large = plan_tiny(300000, 5, 60);
  INFO("peak of 3,000: " << small << " KiB, of 300,000: " << large << " KiB");
  REQUIRE(large < small + kGrowthKib);
}

TEST_CASE("20k tiny repositories become trajectories in shards, in memory that does not grow", "[slow]") {
  const TempFolder folder;
  const auto peak_of = [&](int64_t n) {
    const fs::path input = folder.path() / (std::to_string(n) + ".jsonl.zst"),
                   out = folder.path() / std::to_string(n), note = folder.path() / "note.json";
    write_tiny_corpus(input, n);
    REQUIRE(survives(
        [&] {
          run_synthesis(stream_recipe(), stream_job(input, out));
          write_file(note, std::to_string(status_kib("VmHWM")));
        },
        3600));
    size_t records = 0;
    for (const std::string& name : list_folder(out))
      if (fs::path(name).extension() == ".traj") records += TrajectoryReader(out / name).size();
    REQUIRE(static_cast<int64_t>(records) == n - n / 1000);
    REQUIRE_FALSE(fs::exists(out / "items"));
    return std::stoll(read_file(note));
  };
  const int64_t small = peak_of(2000), large = peak_of(20000);
  INFO("peak of 2,000: " << small << " KiB, of 20,000: " << large << " KiB");
  REQUIRE(large <
          small + kGrowthKib + (int64_t{32} << 10));  // a shard of 4,096 records is mapped and indexed
}

TEST_CASE("a repository of 20k files takes less than 1 GiB", "[slow]") {
  const TempFolder folder;
  const fs::path repository = folder.path() / "huge", note = folder.path() / "note.json";
  for (int i = 0; i < 20000; ++i) {
    const fs::path file = repository / fmt::format("pkg{:03}", i / 100) / fmt::format("m{:05}.py", i);
    fs::create_directories(file.parent_path());
    testing::put(file,
                 fmt::format("from pkg{:03} import m{:05}\n\n", (i * 7919 % 20000) / 100, i * 7919 % 20000) +
                     tiny_module(i));
  }
  testing::put(repository / "setup.py", "NAME = 'huge'\n");  // without it, a folder of repositories
  REQUIRE(survives(
      [&] {
        run_synthesis(stream_recipe(), stream_job(repository, folder.path() / "out"));
        write_file(note, std::to_string(status_kib("VmHWM")));
      },
      3600));
  const Trajectory t = TrajectoryReader(folder.path() / "out" / "trajectories.traj").read(0);
  REQUIRE(t.tree.size() == 20001);
  const int64_t peak_kib = std::stoll(read_file(note));
  INFO("peak " << peak_kib << " KiB");
  REQUIRE(peak_kib < int64_t{1} << 20);
}
