#include "train/sharding/flat_layout.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace retrace::train {
namespace {

constexpr int64_t kElementsPerKib = 256;
constexpr int64_t kChunksPerBlock = 64, kSmallestKib = 1, kLargestKib = 1024, kLeastOfLargeKib = 128,
                  kLargestAllowedKib = 65536;
constexpr double kPaddingAllowed = 0.01;
constexpr int64_t kUsualRanks[] = {8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512};

int64_t quotient_up(int64_t n, int64_t d) {
  return (n + d - 1) / d;
}

// Padding as a part of the model, at the worst of the usual numbers of ranks.
double worst_padding(const std::vector<model::UnitLayout>& units, int64_t chunk) {
  int64_t all = 0, most = 0;
  for (const model::UnitLayout& unit : units) all += unit.size;
  for (const int64_t ranks : kUsualRanks) {
    int64_t held = 0;
    for (const model::UnitLayout& unit : units)
      held += quotient_up(quotient_up(unit.size, chunk), ranks) * ranks * chunk;
    most = std::max(most, held);
  }
  return static_cast<double>(most - all) / static_cast<double>(all);
}

// The largest size whose padding is allowed, else that of least padding.
int64_t chunk_kib_of_large_model(const std::vector<model::UnitLayout>& units) {
  int64_t best = kLargestKib;
  double least = worst_padding(units, best * kElementsPerKib);
  for (int64_t kib = kLargestKib; kib >= kLeastOfLargeKib && least > kPaddingAllowed; --kib) {
    const double padding = worst_padding(units, kib * kElementsPerKib);
    if (padding >= least) continue;
    least = padding;
    best = kib;
  }
  return best;
}

int64_t fitting_chunk_kib(const std::vector<model::UnitLayout>& units) {
  int64_t smallest = units[1].size;
  for (size_t u = 1; u + 1 < units.size(); ++u) smallest = std::min(smallest, units[u].size);
  const auto kib = static_cast<uint64_t>(std::max<int64_t>(1, smallest / kChunksPerBlock / kElementsPerKib));
  const auto found = std::clamp(static_cast<int64_t>(std::bit_floor(kib)), kSmallestKib, kLargestKib);
  return found < kLargestKib ? found : chunk_kib_of_large_model(units);
}

}  // namespace

FlatLayout::FlatLayout(const model::LlamaConfig& config, int64_t chunk_kib) : config_(config) {
  for (const model::UnitSpec& spec : model::unit_specs(config)) units_.push_back(model::layout_of(spec));
  if (chunk_kib == 0) chunk_kib = fitting_chunk_kib(units_);
  if (chunk_kib < 1 || chunk_kib > kLargestAllowedKib)
    throw Error(Code::recipe, fmt::format("checkpoint.chunk_kib = {} is no size of a chunk", chunk_kib),
                fmt::format("1 to {}", kLargestAllowedKib), "checkpoint.chunk_kib");
  chunk_ = chunk_kib * kElementsPerKib;
  first_chunk_.push_back(0);
  for (int u = 0; u < num_units(); ++u) first_chunk_.push_back(first_chunk_.back() + num_chunks(u));
}

std::pair<int64_t, int64_t> FlatLayout::chunks_of_rank(int u, int rank, int world) const {
  const int64_t each = chunks_per_rank(u, world), all = num_chunks(u);
  return {std::min(all, rank * each), std::min(all, (rank + 1) * each)};
}

std::vector<Piece> FlatLayout::pieces(int u, int64_t begin, int64_t end) const {
  const model::UnitLayout& layout = unit(u);
  std::vector<Piece> found;
  for (size_t p = 0; p < layout.offsets.size(); ++p) {
    const int64_t from = std::max(begin, layout.offsets[p]);
    const int64_t to = std::min(end, layout.offsets[p] + layout.spec.parameters[p].size());
    if (from < to) found.push_back({p, from - layout.offsets[p], to - from, from});
  }
  return found;
}

int64_t FlatLayout::logical(int u, int64_t flat) const {
  const model::UnitLayout& layout = unit(u);
  int64_t before = 0;
  for (size_t p = 0; p < layout.offsets.size() && layout.offsets[p] < flat; ++p)
    before += std::min(flat - layout.offsets[p], layout.spec.parameters[p].size());
  return before;
}

int64_t FlatLayout::chunk_size(int u, int64_t chunk) const {
  return logical(u, (chunk + 1) * chunk_) - logical(u, chunk * chunk_);
}

}  // namespace retrace::train
