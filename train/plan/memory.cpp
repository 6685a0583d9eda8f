#include "train/plan/memory.h"

// The same sums that Shards, WeightWindow, GradientSink and the block plans allocate.
#include <algorithm>

#include "model/llama/block_costs.h"
#include "model/llama/block_program.h"
#include "train/sharding/flat_layout.h"
#include "train/sharding/shards.h"

namespace retrace::train {
namespace {

constexpr int64_t kSlots = 2;

}  // namespace

int64_t MemoryPlan::total_bytes() const {
  int64_t sum = 0;
  for (const auto& item : items) sum += item.bytes;
  return sum;
}

MemoryPlan plan_memory(const TrainingShape& shape, int world) {
  const FlatLayout layout(shape.llama, shape.chunk_kib);
  const int holders = shape.shard_ranks(world);
  const bool bf16 = shape.dtype == "bfloat16", alone = holders == 1;
  const Sharding sharding = parse_sharding(shape.sharding);
  const bool keeps_weights = alone || Shards::keeps_weights(sharding);
  const bool whole_gradients = !alone && sharding == Sharding::zero1_accumulate;
  const int64_t value_bytes = bf16 ? 2 : 4;
  int64_t own = 0, whole = 0, largest = 0;
  for (int u = 0; u < layout.num_units(); ++u) {
    const int64_t each = layout.elements_per_rank(u, holders);
    own += each;
    whole += each * holders;
    largest = std::max(largest, each * holders);
  }
  const model::BatchShape batch = shape.batch_of_rank();
  model::LlamaConfig copied = shape.llama;  // ranks that share sequences hold at least a key-value head each
  copied.num_kv_heads = std::max(copied.num_kv_heads, shape.context);
  const auto block = model::block_costs(copied, model::plan_block(shape.block_options()), batch);
  const auto head = model::head_costs(shape.llama, batch, shape.logit_chunk);
  const int64_t layers = shape.llama.num_layers;
  const int64_t stream = batch.tokens * shape.llama.hidden_size * value_bytes;
  // Inputs that wait on the host are on the device for the block at work alone, for the next one whose copy
  // comes back meanwhile, and for the last block, whose backward is the next to run.
  const int64_t moved = block.offloaded_bytes, stays = block.kept_bytes - moved;
  const int64_t kept = layers * stays;
  // Beside what all blocks keep: the last block's output while the head runs, or a block at work.
  const int64_t working = std::max({block.forward_peak_bytes - stays, moved + stream + head.peak_bytes,
                                    block.backward_peak_bytes - stays + (layers > 1 ? moved : 0)});
  const int64_t positions = shape.seq_len * shape.llama.head_dim / 2 * 2 * 4;
  const int64_t batch_bytes = batch.tokens * (8 + 8 + 4);

  MemoryPlan plan;
  if (shape.async_saves) plan.host_save_bytes = own * 12;
  plan.host_offload_bytes = (layers - 1) * moved;
  plan.items = {
      {"fp32 masters and moments", own * 12},
      {"fp32 gradients", own * 4},
      {"weights in the compute dtype", keeps_weights ? (alone && !bf16 ? 0 : whole * value_bytes)
                                       : bf16        ? own * value_bytes
                                                     : 0},
      {"gathered weights", keeps_weights ? 0 : kSlots * largest * value_bytes},
      {"gradients before they are reduced", alone             ? 0
                                            : whole_gradients ? whole * 4
                                                              : kSlots * largest * 4},
      {"kept activations", kept},
      {"working set of a unit", working},
      {"batch and positions", positions + batch_bytes},
  };
  return plan;
}

}  // namespace retrace::train
