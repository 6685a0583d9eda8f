#include "train/sharding/weight_window.h"

#include <ATen/core/Tensor.h>

namespace retrace::train {

WeightWindow::WeightWindow(Shards& shards) : shards_(shards) {
  if (shards.keeps_weights()) return;
  int64_t largest = 0;
  for (int u = 0; u < shards.layout().num_units(); ++u)
    largest = std::max(largest, shards.elements(u) * shards.world());
  for (Slot& slot : slots_)
    slot.buffer = shards.collectives().make_buffer(largest, shards.options(shards.dtype()));
}

void WeightWindow::begin_pass(std::vector<int> order) {
  order_ = std::move(order);
  place_ = 0;
}

void WeightWindow::start(size_t place) {
  Slot& slot = slots_[place % 2];
  const int u = order_[place];
  const at::Tensor whole = slot.buffer.narrow(0, 0, shards_.elements(u) * shards_.world());
  slot.views = model::views_of(shards_.layout().unit(u), whole);
  slot.place = place;
  slot.pending = shards_.collectives().start_all_gather(shards_.unit(u).part, whole);
}

const model::Views& WeightWindow::next(bool prefetch) {
  const size_t place = place_++;
  if (shards_.keeps_weights()) return shards_.unit(order_[place]).views;
  Slot& slot = slots_[place % 2];
  if (!slot.pending || slot.place != place) start(place);
  slot.pending->wait();
  slot.pending.reset();
  if (prefetch && place + 1 < order_.size()) start(place + 1);
  return slot.views;
}

}  // namespace retrace::train
