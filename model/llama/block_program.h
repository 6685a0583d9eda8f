// A Llama block as a static list of ops {forward, backward, inputs, outputs, saved}, and the liveness plans
// over it. A recompute level decides what is kept between forward and backward; the ops that run are the same
// ones, so a recomputed value has the forward's bits. Weights are read by short name ("q_proj"); gradients
// are added in fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "model/llama/llama.h"
#include "model/ops/attention.h"
#include "model/ops/head_exchange.h"
#include "model/ops/rope.h"

namespace retrace::model {

// The values of a block, in the order in which they arise. qkv is rotated. Where ranks share a sequence, qkv
// and lse are those of all its tokens and this rank's heads, all others those of this rank's tokens.
enum class Slot { x, n1, rstd1, qkv, attn, lse, h, n2, rstd2, gate_up, act, y };
inline constexpr size_t kNumSlots = 12;
const char* slot_name(Slot slot);

// One run of a block: what its ops read and write.
struct BlockFrame {
  const LlamaConfig& config;
  const std::vector<int64_t>& starts;
  const RopeAngles& angles;
  const Views& weights;
  bool hf_norm = true;
  Views* gradients = nullptr;  // backward only
  // Inference only: each span also attends to the first `prefix` cached tokens; `append` stores the new ones.
  KeyValueCache* cache = nullptr;
  int64_t prefix = 0;
  bool append = false;
  ContextPeers* peers =
      nullptr;  // ranks that share the sequence; `starts` and `angles` are of all its tokens
  // Decoding: each row follows the cached tokens of a text of its own, and is cached behind them.
  const std::vector<KeyValueCache>* row_caches = nullptr;
  const std::vector<int64_t>* row_lengths = nullptr;
  std::array<at::Tensor, kNumSlots> values{}, value_gradients{};

  HeadShape all_heads() const { return {config.num_heads, config.num_kv_heads, config.head_dim}; }
  HeadShape shape() const { return peers ? heads_of_rank(all_heads(), peers->size()) : all_heads(); }
  at::Tensor& value(Slot slot) { return values[static_cast<size_t>(slot)]; }
  at::Tensor& gradient(Slot slot) { return value_gradients[static_cast<size_t>(slot)]; }
  const at::Tensor& weight(const char* name) const { return weights.at(name); }
};

using OpRun = void (*)(BlockFrame&);

struct BlockOp {
  const char* name;
  std::vector<Slot> inputs, outputs;
  std::vector<Slot> saved;  // values that backward reads
  OpRun forward;
  OpRun backward;      // reads the gradients of outputs, sets or adds to those of inputs
  bool tiled = false;  // of the feed-forward: may run tile by tile, a row depends on its row alone
};
const std::vector<BlockOp>& block_ops();

// What to run and what to let go, in order.
struct PlanStep {
  enum class Kind { forward, backward, drop, tiles } kind;
  size_t index;  // op, slot, or the most rows of a tile
  // tiles: the values of which a tile gets its rows, and what runs for it. What is alive at a tile's end
  // beyond these is put into its rows of a whole tensor.
  std::vector<Slot> rows{};
  std::vector<PlanStep> steps{};
};
struct BlockPlan {
  std::vector<Slot> kept;       // from forward to backward
  std::vector<Slot> offloaded;  // those of them that may wait in host memory
  std::vector<PlanStep> forward, backward;
};
struct PlanOptions {
  // "none"; "keep_mlp" (input, rotated qkv, attention, gate | up), "keep_qkv", "keep_attn" (input and
  // attention), "full" (the input alone): each keeps less than the one before; or "inference" (nothing is
  // kept, no backward).
  std::string recompute = "none";
  int64_t mlp_tile_tokens = 0;   // most tokens of a tile of the feed-forward; 0 = all at once
  std::string offload = "none";  // or "block_inputs"
};
// What a level keeps of the feed-forward is whole; all else of it exists for one tile at a time.
// Error{recipe} for unknown words.
BlockPlan plan_block(const PlanOptions& options);

// Walks a plan, tile by tile where it says so, and hands out the ops one after another; the caller runs them:
//   while (const OpRun op = run.next()) op(run.frame());
class PlanRun {
 public:
  PlanRun(const std::vector<PlanStep>& steps, BlockFrame& frame) : block_{&steps}, frame_(frame) {}
  // Lets go of what is needed no more. Null at the end of the plan.
  OpRun next();
  // What the op works on: the block's frame, or that of a tile.
  BlockFrame& frame() { return tiles_ ? tiles_->frame : frame_; }

 private:
  struct Place {
    const std::vector<PlanStep>* steps;
    size_t next = 0;
  };
  using SlotTensors = std::array<at::Tensor, kNumSlots>;
  struct Tiles {
    const PlanStep& step;
    BlockFrame frame;  // of the present tile
    Place place;
    int64_t begin, size, all;            // rows
    SlotTensors made, made_gradients{};  // wholes of what leaves the tiles
    int64_t count() const { return size < all - begin ? size : all - begin; }
  };
  void begin_tiles(const PlanStep& step);
  void begin_tile();
  void end_tile();

  Place block_;
  BlockFrame& frame_;
  std::optional<Tiles> tiles_;
  const BlockOp* spent_ = nullptr;  // its backward ran: the gradients of its outputs are needed no more
};

// Rows of all tiles but perhaps the last, which has no more: as equal as they can be.
int64_t tile_rows(int64_t rows, int64_t most);

}  // namespace retrace::model
