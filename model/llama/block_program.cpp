#include "model/llama/block_program.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "core/error.h"

namespace retrace::model {

namespace {

// Puts a tile's rows where they belong in the whole of `all` rows.
void put_rows(const at::Tensor& piece, int64_t begin, int64_t all, at::Tensor& whole) {
  const int64_t count = piece.size(0);
  if (count == all) {
    whole = piece;
    return;
  }
  if (!whole.defined()) {
    std::vector<int64_t> sizes = piece.sizes().vec();
    sizes.front() = all;
    whole = at::empty(sizes, piece.options());
  }
  whole.narrow(0, begin, count).copy_(piece);
}

// One of `wholes` of which `piece` is a part, or null.
const at::Tensor* whole_of(const at::Tensor& piece, const std::array<at::Tensor, kNumSlots>& wholes) {
  for (const at::Tensor& whole : wholes)
    if (whole.defined() && piece.is_alias_of(whole)) return &whole;
  return nullptr;
}

}  // namespace

const char* slot_name(Slot slot) {
  static constexpr const char* kNames[kNumSlots] = {"x", "n1", "rstd1", "qkv",     "attn", "lse",
                                                    "h", "n2", "rstd2", "gate_up", "act",  "y"};
  return kNames[static_cast<size_t>(slot)];
}

int64_t tile_rows(int64_t rows, int64_t most) {
  const int64_t tiles = std::max<int64_t>(1, (rows + most - 1) / most);
  return (rows + tiles - 1) / tiles;
}

OpRun PlanRun::next() {
  for (;;) {
    if (spent_) {
      for (const Slot slot : spent_->outputs) frame().gradient(slot).reset();
      spent_ = nullptr;
    }
    Place& place = tiles_ ? tiles_->place : block_;
    if (place.next == place.steps->size()) {
      if (!tiles_) return nullptr;
      end_tile();
      continue;
    }
    const PlanStep& step = (*place.steps)[place.next++];
    switch (step.kind) {
      case PlanStep::Kind::drop:
        frame().values[step.index].reset();
        break;
      case PlanStep::Kind::tiles:
        begin_tiles(step);
        break;
      case PlanStep::Kind::forward:
        return block_ops()[step.index].forward;
      case PlanStep::Kind::backward:
        // Everything that reads the op's outputs has run backward by now: their gradients are complete.
        spent_ = &block_ops()[step.index];
        return spent_->backward;
    }
  }
}

void PlanRun::begin_tiles(const PlanStep& step) {
  const int64_t all = frame_.value(step.rows.front()).size(0);
  tiles_.emplace(
      Tiles{step, frame_, {&step.steps}, 0, tile_rows(all, static_cast<int64_t>(step.index)), all, {}});
  begin_tile();
}

void PlanRun::begin_tile() {
  Tiles& t = *tiles_;
  t.place.next = 0;
  t.frame.values.fill({});
  for (const Slot slot : t.step.rows) t.frame.value(slot) = frame_.value(slot).narrow(0, t.begin, t.count());
  for (size_t i = 0; i < kNumSlots; ++i) {
    const at::Tensor& whole = frame_.value_gradients[i];
    t.frame.value_gradients[i] = whole.defined() ? whole.narrow(0, t.begin, t.count()) : at::Tensor();
  }
}

void PlanRun::end_tile() {
  Tiles& t = *tiles_;
  for (const Slot slot : t.step.rows) t.frame.value(slot).reset();
  for (size_t i = 0; i < kNumSlots; ++i) {
    if (t.frame.values[i].defined()) put_rows(t.frame.values[i], t.begin, t.all, t.made[i]);
    const at::Tensor& gradient = t.frame.value_gradients[i];
    if (!gradient.defined()) continue;
    // The rows of a gradient that was given (a residual sum's) stand where they belong already.
    if (const at::Tensor* whole = whole_of(gradient, frame_.value_gradients))
      t.made_gradients[i] = *whole;
    else
      put_rows(gradient, t.begin, t.all, t.made_gradients[i]);
  }
  t.begin += t.count();
  if (t.begin < t.all) return begin_tile();
  for (size_t i = 0; i < kNumSlots; ++i)
    if (t.made[i].defined()) frame_.values[i] = t.made[i];
  frame_.value_gradients = t.made_gradients;
  tiles_.reset();
}

}  // namespace retrace::model
