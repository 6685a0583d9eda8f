// Shards of records: back again, and every damage named.
#include <catch2/catch_test_macros.hpp>

#include "core/error.h"
#include "core/files/files.h"
#include "synth/record/store.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

void write_shard(const fs::path& file, int records) {
  TrajectoryWriter writer(file);
  for (int i = 0; i < records; ++i) writer.add(make_trajectory(make_repository("repo" + std::to_string(i))));
  REQUIRE_FALSE(fs::exists(file));
  writer.finish();
}

// Reads all records; the error's code, or none.
bool is_corrupt(const fs::path& file) {
  try {
    const TrajectoryReader reader(file);
    for (size_t i = 0; i < reader.size(); ++i) reader.read(i);
  } catch (const Error& error) {
    REQUIRE(error.code() == Code::corrupt);
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("records come back from a shard in any order", "[unit]") {
  const TempFolder folder;
  write_shard(folder.path() / "a.traj", 3);
  const TrajectoryReader reader(folder.path() / "a.traj");
  REQUIRE(reader.size() == 3);
  for (size_t i : {size_t{2}, size_t{0}, size_t{1}})
    REQUIRE(to_text(to_json(reader.read(i))) ==
            to_text(to_json(make_trajectory(make_repository("repo" + std::to_string(i))))));
  REQUIRE_THROWS_AS(reader.read(3), Error);
  write_file(folder.path() / "b.txt", "not a shard");
  size_t seen = 0;
  for_each_trajectory(folder.path(), [&](const Trajectory&) { ++seen; });
  REQUIRE(seen == 3);
}

TEST_CASE("equal records make equal shards; an empty shard is one", "[unit]") {
  const TempFolder folder;
  write_shard(folder.path() / "a.traj", 2);
  write_shard(folder.path() / "b.traj", 2);
  write_shard(folder.path() / "c.traj", 0);
  REQUIRE(read_file(folder.path() / "a.traj") == read_file(folder.path() / "b.traj"));
  REQUIRE(TrajectoryReader(folder.path() / "c.traj").size() == 0);
}

TEST_CASE("a shard that is cut off or has a flipped byte is refused", "[unit]") {
  const TempFolder folder;
  const fs::path file = folder.path() / "a.traj", bad = folder.path() / "bad.traj";
  write_shard(file, 2);
  const std::string whole = read_file(file);
  for (size_t size : {size_t{0}, size_t{1}, size_t{8}, size_t{20}, whole.size() / 2, whole.size() - 1}) {
    write_file(bad, whole.substr(0, size));
    REQUIRE(is_corrupt(bad));
  }
  for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 97) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    write_file(bad, flipped);
    INFO("byte " << at << " of " << whole.size());
    REQUIRE(is_corrupt(bad));
  }
  for (size_t back = 1; back <= 96; ++back) {
    std::string flipped = whole;
    flipped[whole.size() - back] = static_cast<char>(flipped[whole.size() - back] ^ 0x40);
    write_file(bad, flipped);
    REQUIRE(is_corrupt(bad));
  }
  write_file(bad, whole + "x");
  REQUIRE(is_corrupt(bad));
}

TEST_CASE("a record that does not replay is not written", "[unit]") {
  const TempFolder folder;
  Trajectory t = make_trajectory(make_repository());
  t.steps.pop_back();
  TrajectoryWriter writer(folder.path() / "a.traj");
  REQUIRE_THROWS_AS(writer.add(t), Error);
}
