#include "model/engine/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace retrace::model {

namespace {

int32_t most_likely(const float* logits, int64_t vocabulary) {
  int64_t best = 0;
  for (int64_t v = 0; v < vocabulary; ++v) {
    if (std::isnan(logits[v])) fail(Code::numeric, "the model's logits are not numbers (token {})", v);
    if (logits[v] > logits[best]) best = v;
  }
  return static_cast<int32_t>(best);
}

// Shortens `order` to the fewest most likely tokens whose mass reaches `wanted`, likeliest first, smaller ids
// first among equals. Returns their mass. Sorts no more than it needs.
double keep_most_likely(const std::vector<double>& mass, double wanted, std::vector<int32_t>& order) {
  const auto likelier = [&](int32_t a, int32_t b) {
    const double of_a = mass[static_cast<size_t>(a)], of_b = mass[static_cast<size_t>(b)];
    return of_a != of_b ? of_a > of_b : a < b;
  };
  for (size_t sorted = std::min<size_t>(order.size(), 64);; sorted = std::min(order.size(), 8 * sorted)) {
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(sorted), order.end(),
                      likelier);
    double kept = 0;
    size_t count = 0;
    while (count < sorted && (count == 0 || kept < wanted)) kept += mass[static_cast<size_t>(order[count++])];
    if (kept < wanted && sorted < order.size()) continue;
    order.resize(count);
    return kept;
  }
}

double uniform(uint64_t seed, int64_t step) {
  static const uint64_t stream = stream_id("generate");
  return static_cast<double>(random_u64(seed, stream, static_cast<uint64_t>(step)) >> 11) * 0x1.0p-53;
}

}  // namespace

int32_t choose_token(const float* logits, int64_t vocabulary, const GenerateOptions& options, int64_t step) {
  const int32_t best = most_likely(logits, vocabulary);
  if (options.temperature <= 0) return best;
  const double top = static_cast<double>(logits[best]);
  std::vector<double> mass(static_cast<size_t>(vocabulary));
  for (size_t v = 0; v < mass.size(); ++v)
    mass[v] = std::exp((static_cast<double>(logits[v]) - top) / options.temperature);
  std::vector<int32_t> order(mass.size());
  std::iota(order.begin(), order.end(), 0);
  double total = std::accumulate(mass.begin(), mass.end(), 0.0);
  if (options.top_p < 1) {
    total = keep_most_likely(mass, options.top_p * total, order);
  }
  double rest = uniform(options.seed, step) * total;
  for (int32_t token : order) {
    rest -= mass[static_cast<size_t>(token)];
    if (rest < 0) return token;
  }
  return best;  // only if rounding left a crumb of mass
}

}  // namespace retrace::model
