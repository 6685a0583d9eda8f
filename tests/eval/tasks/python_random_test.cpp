// Golden values: CPython 3.11 and numpy 2 (python3 -c "import random; r = random.Random(42); ...");
// tests/peers/test_eval.py compares many more seeds with the interpreter itself.
#include "eval/tasks/python_random.h"

#include <catch2/catch_test_macros.hpp>
#include <numeric>
#include <string>

using namespace retrace::eval;

TEST_CASE("Python's generator shuffles, samples and draws as CPython does", "[unit]") {
  std::vector<int> ten(10);
  std::iota(ten.begin(), ten.end(), 0);
  PythonRandom(42).shuffle(ten);
  REQUIRE(ten == std::vector<int>{7, 3, 2, 8, 5, 6, 9, 4, 0, 1});

  PythonRandom random(42);
  REQUIRE(random.sample(40, 4) == std::vector<size_t>{7, 1, 17, 15});
  REQUIRE(random.randint(1'000'000, 9'999'999) == 4744854);
  REQUIRE(random.below(6171620) == 1170528);
  REQUIRE(random.bits128() == std::vector<uint32_t>{0xbc8960a9u, 0x1a3d1fa7u, 0xad3c2d6du, 0xbd9c66b3u});
  std::string letters;
  for (const size_t i : random.choices(26, 5)) letters += static_cast<char>('A' + i);
  REQUIRE(letters == "XCKAF");
}

TEST_CASE("seeds of any sign and size give CPython's streams", "[unit]") {
  struct Row {
    int64_t seed;
    double random;
    uint64_t bits40;
    double uniform;
  };
  for (const Row& row : {Row{0, 0.8444218515250481, 978212965548, 3.261714742492535},
                         Row{-7, 0.32383276483316237, 434439589175, 3.952803419119561},
                         Row{1099511627779, 0.21978710637116716, 917187984466, 2.283835729205708}}) {
    PythonRandom random(row.seed);
    REQUIRE(random.random() == row.random);
    REQUIRE(random.getrandbits(40) == row.bits40);
    REQUIRE(random.uniform(2, 5) == row.uniform);
  }
}

TEST_CASE("numpy's legacy generator draws integers by masked rejection", "[unit]") {
  NumpyRandomState random(42);
  for (const int64_t expected : {25795, 10860, 86820, 64886, 16265})
    REQUIRE(random.randint(10000, 99999) == expected);
}

TEST_CASE("GSM8K's shots are three samples of one generator", "[unit]") {
  PythonRandom random(1234);
  REQUIRE(random.sample(7473, 5) == std::vector<size_t>{6374, 3610, 957, 61, 742});
  REQUIRE(random.sample(7473, 5) == std::vector<size_t>{7462, 6610, 4769, 286, 5501});
  REQUIRE(random.sample(7473, 5) == std::vector<size_t>{5677, 687, 806, 6279, 2905});
}
