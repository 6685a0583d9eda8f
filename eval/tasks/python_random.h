// Python's random.Random and numpy's legacy RandomState, number for number, so that prompts drawn by
// published Python generators can be drawn again. Covers integer seeds and the calls below (rules of
// CPython 3.11), nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace retrace::eval {

// The MT19937 generator (Matsumoto and Nishimura 1998): 32 bits a call.
class MersenneTwister {
 public:
  void seed_knuth(uint32_t seed);                     // init_genrand
  void seed_array(const std::vector<uint32_t>& key);  // init_by_array
  uint32_t next();

 private:
  std::array<uint32_t, 624> state_{};
  size_t place_ = 624;
};

// random.Random(seed).
class PythonRandom {
 public:
  explicit PythonRandom(int64_t seed);
  double random();                             // [0, 1), 53 bits
  uint64_t getrandbits(int bits);              // 1..64
  std::vector<uint32_t> bits128();             // getrandbits(128), least significant word first
  uint64_t below(uint64_t n);                  // _randbelow; n > 0
  int64_t randint(int64_t low, int64_t high);  // both ends included
  double uniform(double low, double high);
  // Indices that sample(range(n), k) gives; choices(range(n), k=k) gives. Error{internal} if k > n.
  std::vector<size_t> sample(size_t n, size_t k);
  std::vector<size_t> choices(size_t n, size_t k);

  template <class T>
  const T& choice(const std::vector<T>& values) {
    return values[below(values.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i-- > 1;) std::swap(values[i], values[below(i + 1)]);
  }

 private:
  MersenneTwister twister_;
};

// numpy.random.RandomState(seed), the generator behind numpy.random.seed.
class NumpyRandomState {
 public:
  explicit NumpyRandomState(uint32_t seed) { twister_.seed_knuth(seed); }
  int64_t randint(int64_t low, int64_t high);  // [low, high), high - low at most 2^32

 private:
  MersenneTwister twister_;
};

}  // namespace retrace::eval
