// Counter-based randomness: a value is a pure function of (seed, stream, index), so order of use never
// matters.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace retrace {

// SplitMix64 finaliser over a combined key (Steele, Lea, Flood 2014).
uint64_t mix64(uint64_t x);
uint64_t random_u64(uint64_t seed, uint64_t stream, uint64_t index);
uint64_t stream_id(std::string_view name);  // a stream number for a name

// A sequence drawn from one (seed, stream).
class Random {
 public:
  Random(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
  uint64_t next() { return random_u64(seed_, stream_, index_++); }
  uint64_t below(uint64_t n);  // uniform in [0, n), by rejection; n > 0
  double uniform();            // [0, 1), 53 bits
  double normal();             // standard normal (Box-Muller, one value a call)

 private:
  uint64_t seed_, stream_, index_ = 0;
};

// Fisher-Yates permutation of 0..n-1.
std::vector<uint32_t> permutation(uint32_t n, uint64_t seed, uint64_t stream);

}  // namespace retrace
