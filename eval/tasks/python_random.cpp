#include "eval/tasks/python_random.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <set>

#include "core/error.h"

namespace retrace::eval {
namespace {

constexpr size_t kWords = 624, kShift = 397;

}  // namespace

void MersenneTwister::seed_knuth(uint32_t seed) {
  state_[0] = seed;
  for (size_t i = 1; i < kWords; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<uint32_t>(i);
  place_ = kWords;
}

void MersenneTwister::seed_array(const std::vector<uint32_t>& key) {
  seed_knuth(19650218u);
  size_t i = 1, j = 0;
  auto wrap = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  for (size_t k = std::max(kWords, key.size()); k > 0; --k) {
    const uint32_t previous = state_[i - 1];
    state_[i] = (state_[i] ^ ((previous ^ (previous >> 30)) * 1664525u)) + key[j] + static_cast<uint32_t>(j);
    wrap();
    if (++j >= key.size()) j = 0;
  }
  for (size_t k = kWords - 1; k > 0; --k) {
    const uint32_t previous = state_[i - 1];
    state_[i] = (state_[i] ^ ((previous ^ (previous >> 30)) * 1566083941u)) - static_cast<uint32_t>(i);
    wrap();
  }
  state_[0] = 0x80000000u;
  place_ = kWords;
}

uint32_t MersenneTwister::next() {
  if (place_ == kWords) {
    for (size_t i = 0; i < kWords; ++i) {
      const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
      state_[i] = state_[(i + kShift) % kWords] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
    }
    place_ = 0;
  }
  uint32_t y = state_[place_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

// CPython seeds with the 32-bit words of |seed|, least significant first.
PythonRandom::PythonRandom(int64_t seed) {
  const uint64_t magnitude =
      seed < 0 ? uint64_t{0} - static_cast<uint64_t>(seed) : static_cast<uint64_t>(seed);
  std::vector<uint32_t> key{static_cast<uint32_t>(magnitude)};
  if (magnitude >> 32) key.push_back(static_cast<uint32_t>(magnitude >> 32));
  twister_.seed_array(key);
}

double PythonRandom::random() {
  const uint32_t a = twister_.next() >> 5, b = twister_.next() >> 6;
  return (a * 67108864.0 + b) / 9007199254740992.0;
}

uint64_t PythonRandom::getrandbits(int bits) {
  ensure(bits >= 1 && bits <= 64, "getrandbits of 1..64 bits");
  if (bits <= 32) return twister_.next() >> (32 - bits);
  const uint64_t low = twister_.next();
  const uint64_t high = twister_.next() >> (64 - bits);
  return high << 32 | low;
}

std::vector<uint32_t> PythonRandom::bits128() {
  std::vector<uint32_t> words(4);
  for (auto& word : words) word = twister_.next();
  return words;
}

uint64_t PythonRandom::below(uint64_t n) {
  ensure(n > 0, "a positive bound");
  const int bits = static_cast<int>(std::bit_width(n));
  uint64_t r = getrandbits(bits);
  while (r >= n) r = getrandbits(bits);
  return r;
}

int64_t PythonRandom::randint(int64_t low, int64_t high) {
  ensure(low <= high, "randint of a non-empty range");
  return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
}

double PythonRandom::uniform(double low, double high) {
  return low + (high - low) * random();
}

// Small populations are drawn from a shrinking pool, large ones by rejection; the border is part of the rule.
std::vector<size_t> PythonRandom::sample(size_t n, size_t k) {
  ensure(k <= n, "a sample no larger than its population");
  double border = 21;
  if (k > 5) border += std::pow(4.0, std::ceil(std::log(static_cast<double>(k) * 3) / std::log(4.0)));
  std::vector<size_t> result(k);
  if (static_cast<double>(n) <= border) {
    std::vector<size_t> pool(n);
    std::iota(pool.begin(), pool.end(), size_t{0});
    for (size_t i = 0; i < k; ++i) {
      const size_t j = below(n - i);
      result[i] = pool[j];
      pool[j] = pool[n - i - 1];
    }
    return result;
  }
  std::set<size_t> selected;
  for (size_t i = 0; i < k; ++i) {
    size_t j = below(n);
    while (!selected.insert(j).second) j = below(n);
    result[i] = j;
  }
  return result;
}

std::vector<size_t> PythonRandom::choices(size_t n, size_t k) {
  ensure(n > 0, "choices of a non-empty population");
  std::vector<size_t> result(k);
  for (auto& index : result) index = static_cast<size_t>(std::floor(random() * static_cast<double>(n)));
  return result;
}

// Masked rejection on 32 bits, as RandomState does for ranges that fit.
int64_t NumpyRandomState::randint(int64_t low, int64_t high) {
  ensure(low < high && static_cast<uint64_t>(high - low) <= uint64_t{1} << 32,
         "randint of a range up to 2^32");
  const uint32_t range = static_cast<uint32_t>(static_cast<uint64_t>(high - low) - 1);
  if (range == 0) return low;
  const uint32_t mask = ~uint32_t{0} >> std::countl_zero(range);
  uint32_t value = twister_.next() & mask;
  while (value > range) value = twister_.next() & mask;
  return low + value;
}

}  // namespace retrace::eval
