// Hidden benchmark, run by scripts/bench_synth.py: the time for skeletons (analyse and simulate) against a
// bare tree-sitter parse of the same files by the same library, on one thread, in turns. Prints one JSON
// object.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <iostream>

#include "core/json.h"
#include "synth/skeleton/skeleton.h"
#include "synth/structure/analyse.h"
#include "synth/structure/syntax/parse.h"

using namespace retrace;
using namespace retrace::synth;

namespace {

constexpr int kTurns = 5;

// Processor time, so that a busy machine does not count.
double seconds(const std::function<void()>& work) {
  const auto now_s = [] {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  };
  const double begin_s = now_s();
  work();
  return now_s() - begin_s;
}

}  // namespace

TEST_CASE("bench: skeletons against a bare parse", "[.][bench]") {
  const char* corpus = std::getenv("RETRACE_BENCH_CORPUS");
  REQUIRE(corpus != nullptr);
  std::vector<std::filesystem::path> archives;
  for (const auto& entry : std::filesystem::directory_iterator(corpus))
    if (entry.path().string().find(".tar.") != std::string::npos) archives.push_back(entry.path());
  std::sort(archives.begin(), archives.end());
  std::vector<Snapshot> snapshots;
  for (const auto& archive : archives) snapshots.push_back(take_snapshot(archive.string(), {}));
  size_t n_files = 0, bytes = 0, n_trees = 0, n_steps = 0;
  for (const auto& snapshot : snapshots)
    for (const auto& file : snapshot.files)
      if (grammar_of(file.language) != nullptr) ++n_files, bytes += file.content.size();
  double parse_s = 1e9, analyse_s = 1e9, simulate_s = 1e9;
  for (int turn = 0; turn < kTurns; ++turn) {
    parse_s = std::min(parse_s, seconds([&] {
                         for (const auto& snapshot : snapshots)
                           for (const auto& file : snapshot.files)
                             n_trees += SyntaxTree(file.content, file.language, 5) ? 1 : 0;
                       }));
    std::vector<Structure> structures;
    analyse_s = std::min(analyse_s, seconds([&] {
                           for (const auto& snapshot : snapshots) structures.push_back(analyse(snapshot));
                         }));
    simulate_s = std::min(simulate_s, seconds([&] {
                            for (size_t i = 0; i < snapshots.size(); ++i)
                              n_steps += simulate(snapshots[i], structures[i], {}).steps.size();
                          }));
  }
  REQUIRE(n_trees > 0);
  REQUIRE(n_steps > 0);
  std::cout << to_text({{"repositories", snapshots.size()},
                        {"files", n_files},
                        {"bytes", bytes},
                        {"threads", 1},
                        {"parse_s", parse_s},
                        {"analyse_s", analyse_s},
                        {"simulate_s", simulate_s}})
            << std::endl;
}
