#include "model/llama/block_program.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "core/error.h"

namespace retrace::model {

namespace {

// Everything that reads an op's outputs has run backward by now, so that their gradients are complete, and
// needed no more afterwards.
void run_backward(const BlockOp& op, BlockFrame& frame) {
  op.backward(frame);
  for (Slot slot : op.outputs) frame.gradient(slot).reset();
}

using SlotTensors = std::array<at::Tensor, kNumSlots>;

struct TileRows {
  int64_t begin, count, all;
  at::Tensor of(const at::Tensor& whole) const { return whole.narrow(0, begin, count); }
  void put(const at::Tensor& piece, at::Tensor& whole) const {
    if (count == all) {
      whole = piece;
      return;
    }
    if (!whole.defined()) {
      std::vector<int64_t> sizes = piece.sizes().vec();
      sizes.front() = all;
      whole = at::empty(sizes, piece.options());
    }
    of(whole).copy_(piece);
  }
};

// One of `wholes` of which `piece` is a part, or null.
const at::Tensor* whole_of(const at::Tensor& piece, const SlotTensors& wholes) {
  for (const at::Tensor& whole : wholes)
    if (whole.defined() && piece.is_alias_of(whole)) return &whole;
  return nullptr;
}

void run_tiles(const PlanStep& step, BlockFrame& frame) {
  const int64_t all = frame.value(step.rows.front()).size(0);
  const int64_t size = tile_rows(all, static_cast<int64_t>(step.index));
  SlotTensors made, made_gradients;
  for (int64_t begin = 0; begin < all; begin += size) {
    const TileRows rows{begin, std::min(size, all - begin), all};
    BlockFrame tile = frame;
    tile.values.fill({});
    for (Slot slot : step.rows) tile.value(slot) = rows.of(frame.value(slot));
    for (at::Tensor& gradient : tile.value_gradients)
      if (gradient.defined()) gradient = rows.of(gradient);
    run_plan(step.steps, tile);
    for (Slot slot : step.rows) tile.value(slot).reset();
    for (size_t i = 0; i < kNumSlots; ++i) {
      if (tile.values[i].defined()) rows.put(tile.values[i], made[i]);
      const at::Tensor& gradient = tile.value_gradients[i];
      if (!gradient.defined()) continue;
      // The rows of a gradient that was given (a residual sum's) stand where they belong already.
      if (const at::Tensor* whole = whole_of(gradient, frame.value_gradients))
        made_gradients[i] = *whole;
      else
        rows.put(gradient, made_gradients[i]);
    }
  }
  for (size_t i = 0; i < kNumSlots; ++i)
    if (made[i].defined()) frame.values[i] = made[i];
  frame.value_gradients = made_gradients;
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

void run_plan(const std::vector<PlanStep>& steps, BlockFrame& frame) {
  for (const PlanStep& step : steps) {
    switch (step.kind) {
      case PlanStep::Kind::drop:
        frame.values[step.index].reset();
        break;
      case PlanStep::Kind::forward:
        block_ops()[step.index].forward(frame);
        break;
      case PlanStep::Kind::backward:
        run_backward(block_ops()[step.index], frame);
        break;
      case PlanStep::Kind::tiles:
        run_tiles(step, frame);
        break;
    }
  }
}

}  // namespace retrace::model
