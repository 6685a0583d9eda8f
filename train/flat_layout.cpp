#include "train/flat_layout.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace retrace::train {
namespace {

constexpr int64_t kElementsPerKib = 256;
constexpr int64_t kChunksPerBlock = 64, kSmallestKib = 1, kLargestKib = 1024;

int64_t fitting_chunk_kib(const std::vector<model::UnitLayout>& units) {
  int64_t smallest = units[1].size;
  for (size_t u = 1; u + 1 < units.size(); ++u) smallest = std::min(smallest, units[u].size);
  const auto kib = static_cast<uint64_t>(std::max<int64_t>(1, smallest / kChunksPerBlock / kElementsPerKib));
  return std::clamp(static_cast<int64_t>(std::bit_floor(kib)), kSmallestKib, kLargestKib);
}

}  // namespace

FlatLayout::FlatLayout(const model::LlamaConfig& config, int64_t chunk_kib) : config_(config) {
  for (const model::UnitSpec& spec : model::unit_specs(config)) units_.push_back(model::layout_of(spec));
  if (chunk_kib == 0) chunk_kib = fitting_chunk_kib(units_);
  if (!std::has_single_bit(static_cast<uint64_t>(chunk_kib)))
    throw Error(Code::recipe, fmt::format("checkpoint.chunk_kib = {} is no power of two", chunk_kib), "",
                "checkpoint.chunk_kib");
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
