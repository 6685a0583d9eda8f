#include "core/random.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "core/error.h"
#include "core/hash.h"

namespace retrace {

namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio, SplitMix64's increment

}  // namespace

uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

uint64_t random_u64(uint64_t seed, uint64_t stream, uint64_t index) {
  const uint64_t key = mix64(mix64(seed + kGolden) + stream);
  return mix64(key + (index + 1) * kGolden);
}

uint64_t stream_id(std::string_view name) {
  return xxh3_64(name);
}

uint64_t Random::below(uint64_t n) {
  ensure(n > 0, "Random::below takes n > 0");
  const uint64_t rejected = (0 - n) % n;  // 2^64 mod n: values below it would favour small results
  while (true) {
    const uint64_t value = next();
    if (value >= rejected) return value % n;
  }
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

std::vector<uint32_t> permutation(uint32_t n, uint64_t seed, uint64_t stream) {
  std::vector<uint32_t> order(n);
  for (uint32_t i = 0; i < n; ++i) order[i] = i;
  Random random(seed, stream);
  for (uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace retrace
