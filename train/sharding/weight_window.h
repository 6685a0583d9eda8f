// The weights of one unit after another, in the order of a pass. Where the mode keeps all weights it hands
// out views; in zero3 it gathers into two slots, the next unit's while the present one computes.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "train/sharding/shards.h"

namespace retrace::train {

class WeightWindow {
 public:
  explicit WeightWindow(Shards& shards);
  void begin_pass(std::vector<int> order);
  // Views of the next unit of the order, valid until the next call, or the one after it if `prefetch` is
  // false.
  const model::Views& next(bool prefetch = true);

 private:
  void start(size_t place);
  Shards& shards_;
  std::vector<int> order_;
  size_t place_ = 0;
  struct Slot {
    at::Tensor buffer;
    std::unique_ptr<Collectives::Pending> pending;
    size_t place = 0;
    model::Views views;
  };
  std::array<Slot, 2> slots_;
};

}  // namespace retrace::train
