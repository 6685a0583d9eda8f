// The byte model: proper probabilities, exact undo, and what it is for: knowing a copy.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>

#include "core/random.h"
#include "synth/search/ppm.h"
#include "synth/search/scorer.h"

using namespace retrace;
using namespace retrace::synth;

namespace {

double total_probability(const Ppm& model) {
  double total = 0;
  for (int symbol = 0; symbol < 256; ++symbol) total += std::exp(-model.cost(static_cast<uint8_t>(symbol)));
  return total;
}

std::string noise(size_t bytes, uint64_t alphabet, uint64_t seed) {
  Random random(seed, 1);
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(random.below(alphabet));
  return out;
}

}  // namespace

TEST_CASE("the probabilities of 256 bytes sum to one at every place", "[unit]") {
  for (int order : {0, 1, 3, 8}) {
    for (const std::string& text :
         {std::string("abracadabra abracadabra"), noise(400, 3, 1), noise(3000, 256, 2)}) {
      Ppm model(order);
      REQUIRE(total_probability(model) == Catch::Approx(1).epsilon(1e-12));
      for (size_t i = 0; i < text.size(); ++i) {
        model.add(static_cast<uint8_t>(text[i]));
        if (i % 37 == 0 || i + 3 > text.size())
          REQUIRE(total_probability(model) == Catch::Approx(1).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("a context that has shown all bytes leaves nothing to escape to", "[unit]") {
  Ppm model(0);
  for (int round = 0; round < 2; ++round)
    for (int symbol = 0; symbol < 256; ++symbol) model.add(static_cast<uint8_t>(symbol));
  REQUIRE(model.cost(7) == Catch::Approx(std::log(256.0)));
  REQUIRE(total_probability(model) == Catch::Approx(1).epsilon(1e-12));
}

TEST_CASE("what is taken back leaves no trace", "[unit]") {
  Ppm marked(5), plain(5);
  const std::string prefix = noise(2000, 5, 3), extra = noise(700, 7, 4), next = noise(500, 5, 5);
  marked.add(prefix);
  plain.add(prefix);
  const Ppm::Mark outer = marked.mark();
  marked.add(extra);
  const Ppm::Mark inner = marked.mark();
  marked.add(next);
  marked.rollback(inner);
  marked.rollback(outer);
  REQUIRE(marked.cost_and_add(next) == plain.cost_and_add(next));
}

TEST_CASE("it gains by a copy, and hardly by other words", "[unit]") {
  const auto scorer = make_ppm_scorer();
  const std::string target = "def parse_header(line, strict=False):\n    return line.split(':', 1)\n";
  const auto results = scorer->score(
      "The plan.\n", {"Nothing of note here.", target, "Split it at the colon."}, "\nWrite:\n", target);
  REQUIRE(results[0].n_tokens == static_cast<int64_t>(target.size()));
  REQUIRE(results[1].nll < 0.4 * results[0].nll);
  REQUIRE(results[2].nll > 0.8 * results[0].nll);
  REQUIRE(results[0].nll_clipped < results[0].nll);
}

TEST_CASE("a regular text costs less than one bit a byte, noise about eight", "[unit]") {
  std::string regular;
  for (int i = 0; i < 300; ++i) regular += "for i in range(10):\n";
  Ppm model(8), wild(8);
  REQUIRE(model.cost_and_add(regular) / static_cast<double>(regular.size()) < 0.3 * std::log(2));
  const std::string random = noise(4000, 256, 9);
  const double bits = wild.cost_and_add(random) / static_cast<double>(random.size()) / std::log(2);
  REQUIRE(bits > 7.9);
  REQUIRE(bits < 9.5);
}
