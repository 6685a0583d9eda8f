// Which repositories each round trains on, and which are held out. Cut by near-duplicate cluster before any
// tokenizer, model or prompt sees a byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "synth/hygiene/minhash.h"
#include "synth/input/snapshot.h"

namespace retrace::synth {

// What of a repository decides its place, so that many can be held in memory.
struct SliceInput {
  std::string tree_hash;
  uint64_t size_bytes = 0;
  std::string signature;  // minhash_signature, packed
};
SliceInput slice_input(const Snapshot& snapshot);

struct Slices {
  std::vector<std::vector<int>> rounds;  // indices of repositories, ascending
  std::vector<int> dev, test;
  std::vector<int> cluster;  // of each repository: the least index in its cluster
};

// Clusters of repositories whose estimated Jaccard similarity reaches `threshold`, or whose trees are equal,
// closed over chains. Returns the least index of each one's cluster.
std::vector<int> near_duplicate_clusters(const std::vector<SliceInput>& repositories, double threshold = 0.7);

// Whole clusters go to one place. Held-out shares are of bytes and approximate; each held-out split whose
// fraction is above 0 gets at least one cluster if that leaves one for every round (dev before test), else
// none. Rounds are balanced by bytes. Depends on the repositories' trees, not on their sequence. Error{input}
// if there are fewer clusters than rounds.
Slices cut_slices(const std::vector<SliceInput>& repositories, int rounds, double dev_fraction,
                  double test_fraction, uint64_t seed);

}  // namespace retrace::synth
