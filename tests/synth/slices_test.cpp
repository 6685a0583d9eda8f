// Slices: near-duplicates stay together, every round gets something, the cut is a function of trees and seed.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "core/hash.h"
#include "core/random.h"
#include "synth/slices.h"
#include "tests/synth/input/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

// A repository of `lines` random statements; `changed` of them differ from the original of the same seed.
Snapshot repository(uint64_t seed, int lines, int changed = 0) {
  std::string text;
  Random random(seed, 1), other(seed, 2);
  for (int i = 0; i < lines; ++i) {
    const uint64_t a = random.below(100000), b = random.below(100000);
    const bool replace = i < changed;
    text += "name_" + std::to_string(replace ? other.next() % 100000 : a) + " = call_" + std::to_string(b) +
            "(value_" + std::to_string(seed) + ")\n";
  }
  Snapshot snapshot = snapshot_of({{"a.py", text}});
  snapshot.tree_hash = sha256_hex(text);
  return snapshot;
}

SliceInput input(uint64_t seed, int lines, int changed = 0) {
  return slice_input(repository(seed, lines, changed));
}

std::vector<SliceInput> collection(int n, int lines = 200) {
  std::vector<SliceInput> inputs;
  for (int i = 0; i < n; ++i) inputs.push_back(input(static_cast<uint64_t>(i), lines));
  return inputs;
}

std::multiset<int> everything(const Slices& slices) {
  std::multiset<int> all(slices.dev.begin(), slices.dev.end());
  all.insert(slices.test.begin(), slices.test.end());
  for (const auto& round : slices.rounds) all.insert(round.begin(), round.end());
  return all;
}

}  // namespace

TEST_CASE("minhash estimates the similarity of repositories", "[unit]") {
  const auto original = minhash_signature(repository(1, 400));
  REQUIRE(estimated_jaccard(original, original) == 1);
  REQUIRE(estimated_jaccard(original, minhash_signature(repository(1, 400, 20))) > 0.7);
  REQUIRE(estimated_jaccard(original, minhash_signature(repository(1, 400, 300))) < 0.5);
  REQUIRE(estimated_jaccard(original, minhash_signature(repository(2, 400))) < 0.1);
  REQUIRE(minhash_signature(snapshot_of({{"a.py", "x = y\n"}})).empty());
  REQUIRE(estimated_jaccard({}, {}) == 0);
}

TEST_CASE("near duplicates share a cluster, by content and by chain", "[unit]") {
  const std::vector<SliceInput> inputs = {input(1, 300), input(2, 300), input(1, 300, 15), input(3, 300),
                                          input(2, 300)};
  REQUIRE(near_duplicate_clusters(inputs) == std::vector<int>{0, 1, 0, 3, 1});
}

TEST_CASE("whole clusters go to one place, each repository exactly once", "[unit]") {
  auto inputs = collection(12);
  inputs.push_back(input(3, 200, 5));
  inputs.push_back(input(7, 200, 5));
  const Slices slices = cut_slices(inputs, 3, 0.1, 0.1, 42);
  std::multiset<int> expected;
  for (int i = 0; i < 14; ++i) expected.insert(i);
  REQUIRE(everything(slices) == expected);
  REQUIRE_FALSE(slices.dev.empty());
  REQUIRE_FALSE(slices.test.empty());
  REQUIRE(slices.rounds.size() == 3);
  std::vector<int> place(14, -1);
  for (int i : slices.dev) place[static_cast<size_t>(i)] = 10;
  for (int i : slices.test) place[static_cast<size_t>(i)] = 11;
  for (int round = 0; round < 3; ++round)
    for (int i : slices.rounds[static_cast<size_t>(round)]) place[static_cast<size_t>(i)] = round;
  REQUIRE(place[3] == place[12]);
  REQUIRE(place[7] == place[13]);
  for (size_t i = 0; i < 14; ++i) REQUIRE(place[i] == place[static_cast<size_t>(slices.cluster[i])]);
}

TEST_CASE("the cut follows the trees and the seed, not the sequence", "[unit]") {
  const auto inputs = collection(10);
  const Slices first = cut_slices(inputs, 2, 0.2, 0.1, 1);
  std::vector<SliceInput> reversed(inputs.rbegin(), inputs.rend());
  Slices second = cut_slices(reversed, 2, 0.2, 0.1, 1);
  for (auto* part : {&second.dev, &second.test, &second.rounds[0], &second.rounds[1]}) {
    for (int& i : *part) i = 9 - i;
    std::sort(part->begin(), part->end());
  }
  REQUIRE(first.dev == second.dev);
  REQUIRE(first.test == second.test);
  REQUIRE(first.rounds == second.rounds);
  bool differs = false;
  for (uint64_t seed = 2; seed < 6; ++seed) differs |= cut_slices(inputs, 2, 0.2, 0.1, seed).dev != first.dev;
  REQUIRE(differs);
}

TEST_CASE("rounds are balanced by bytes", "[unit]") {
  std::vector<SliceInput> inputs;
  for (int i = 0; i < 30; ++i) inputs.push_back(input(static_cast<uint64_t>(i), 20 + 10 * i));
  const Slices slices = cut_slices(inputs, 3, 0, 0, 5);
  REQUIRE(slices.dev.empty());
  REQUIRE(slices.test.empty());
  std::vector<double> bytes;
  for (const auto& round : slices.rounds) {
    bytes.push_back(0);
    for (int i : round) bytes.back() += static_cast<double>(inputs[static_cast<size_t>(i)].size_bytes);
  }
  REQUIRE(*std::max_element(bytes.begin(), bytes.end()) <
          1.1 * *std::min_element(bytes.begin(), bytes.end()));
}

TEST_CASE("too few repositories: rounds come first, then dev, then test, then an error", "[unit]") {
  const auto four = cut_slices(collection(4), 2, 0.1, 0.1, 3);
  REQUIRE((four.dev.size() == 1 && four.test.size() == 1 && four.rounds[0].size() == 1 &&
           four.rounds[1].size() == 1));
  const auto three = cut_slices(collection(3), 2, 0.1, 0.1, 3);
  REQUIRE((three.dev.size() == 1 && three.test.empty()));
  const auto two = cut_slices(collection(2), 2, 0.1, 0.1, 3);
  REQUIRE((two.dev.empty() && two.test.empty()));
  const Error error = error_of([] { cut_slices(collection(1), 2, 0.1, 0.1, 3); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(error.message().find("1 repositories") != std::string::npos);
  // Duplicates count as one.
  REQUIRE(error_of([] { cut_slices({input(1, 200), input(1, 200)}, 2, 0, 0, 3); }).code() == Code::input);
  REQUIRE(error_of([] { cut_slices(collection(3), 0, 0, 0, 3); }).code() == Code::recipe);
  REQUIRE(error_of([] { cut_slices(collection(3), 1, 0.6, 0.5, 3); }).code() == Code::recipe);
}
