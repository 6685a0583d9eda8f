// The parameters of a model as flat vectors, one a unit, cut into chunks: the grid on which ranks share them,
// gradient norms are added and checkpoints are hashed. A function of the model and the chunk size alone.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "model/llama/llama.h"
#include "model/llama_config.h"

namespace retrace::train {

// Elements [begin, begin + count) of a parameter, at `flat` in its unit's vector.
struct Piece {
  size_t parameter;
  int64_t begin, count, flat;
};

class FlatLayout {
 public:
  // chunk_kib 0: a size that gives the smallest block at least 64 chunks, between 1 KiB and 1 MiB; for models
  // of larger blocks one that keeps padding low at 8 to 512 ranks. Error{recipe} if it is no size.
  FlatLayout(const model::LlamaConfig& config, int64_t chunk_kib);

  const model::LlamaConfig& config() const { return config_; }
  int num_units() const { return static_cast<int>(units_.size()); }
  const model::UnitLayout& unit(int u) const { return units_[static_cast<size_t>(u)]; }
  int64_t chunk_elements() const { return chunk_; }
  int64_t num_chunks(int u) const { return (unit(u).size + chunk_ - 1) / chunk_; }
  int64_t first_chunk(int u) const { return first_chunk_[static_cast<size_t>(u)]; }  // in global order
  int64_t total_chunks() const { return first_chunk_.back(); }

  // Ranks own equal numbers of chunks of every unit, in rank order; the last ones may be padding, in memory
  // and in transfers, never in a checkpoint.
  int64_t chunks_per_rank(int u, int world) const { return (num_chunks(u) + world - 1) / world; }
  int64_t elements_per_rank(int u, int world) const { return chunks_per_rank(u, world) * chunk_; }
  // First and last + 1 chunk of the unit that are real and belong to `rank`.
  std::pair<int64_t, int64_t> chunks_of_rank(int u, int rank, int world) const;

  // The parameters inside [begin, end) of a unit's vector, in order, without alignment gaps.
  std::vector<Piece> pieces(int u, int64_t begin, int64_t end) const;
  // Elements of parameters before place `flat` of the unit's vector: its place in the logical vector, which
  // has no gaps.
  int64_t logical(int u, int64_t flat) const;
  int64_t chunk_size(int u, int64_t chunk) const;  // logical elements

 private:
  model::LlamaConfig config_;
  int64_t chunk_ = 0;
  std::vector<model::UnitLayout> units_;
  std::vector<int64_t> first_chunk_;
};

}  // namespace retrace::train
