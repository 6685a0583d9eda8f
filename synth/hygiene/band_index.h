// Locality-sensitive hashing of packed MinHash signatures: which earlier ones may be near a new one.
// Everything that shares a band with it is named; how near it is, is for the caller to compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/files/sqlite.h"

namespace retrace::synth {

inline constexpr size_t kBandRows = 5;  // entries of a signature in a band

// Two packed signatures that agree in a share s of their entries share one of n bands with probability
// 1 - (1 - s^5)^n: for 25 bands 0.99 at 0.7 and 0.99995 at 0.8, for 51 bands above 0.9999 at 0.7.
inline constexpr size_t kDuplicateBands = 25, kClusterBands = 51;

// Keys of the first `bands` bands; fewer if the signature is shorter.
std::vector<uint64_t> band_keys(std::string_view packed, size_t bands = kDuplicateBands);

class BandIndex {
 public:
  explicit BandIndex(size_t bands);  // in memory
  BandIndex(size_t bands,
            Database& database);  // in the table `bands`, which it makes; the database outlives this
  void add(int64_t id, const std::string& signature);
  std::set<int64_t> sharing(const std::string& signature);

 private:
  const size_t bands_;
  std::unordered_map<uint64_t, std::vector<int64_t>> in_memory_;
  std::unique_ptr<Statement> add_, find_;  // null: in memory
};

}  // namespace retrace::synth
