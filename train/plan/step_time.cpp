#include "train/plan/step_time.h"

#include <algorithm>
#include <string_view>

#include "model/llama/block_costs.h"
#include "model/llama/block_program.h"
#include "model/ops/head_exchange.h"
#include "train/config.h"
#include "train/sharding/flat_layout.h"
#include "train/sharding/shards.h"

namespace retrace::train {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9;
constexpr double kReferenceWidth = 4096, kReferenceLayers = 32;  // of GpuModel::elementwise_us
constexpr double kStateBytes = 30;  // moved by AdamW for an element: three reads and writes, gradient, weight
constexpr double kMemoryGbs = 2500;

// Bytes that a rank sends in a block's all-to-alls, forward and backward, where ranks share sequences: qkv
// and its gradient, attention's output, the same and its gradient in backward; what is recomputed again.
double exchanged_bytes(const TrainingShape& shape, const model::BlockPlan& block) {
  if (shape.context == 1) return 0;
  const model::HeadShape heads{shape.llama.num_heads, shape.llama.num_kv_heads, shape.llama.head_dim};
  const auto qkv = static_cast<double>(model::heads_of_rank(heads, shape.context).row() * shape.context);
  const auto rows = static_cast<double>(heads.heads * heads.head_dim);
  double width = 2 * qkv + 3 * rows;
  for (const model::PlanStep& step : block.backward) {
    if (step.kind != model::PlanStep::Kind::forward) continue;
    const std::string_view op = model::block_ops()[step.index].name;
    width += op == "qkv" ? qkv : op == "attention" ? rows : 0;
  }
  const model::BatchShape batch = shape.batch_of_rank();
  return width * static_cast<double>(batch.tokens * batch.value_bytes) *
         static_cast<double>(shape.context - 1) / static_cast<double>(shape.context);
}

}  // namespace

StepTime plan_step(const TrainingShape& shape, const GpuModel& gpu, int world) {
  const model::BatchShape batch = shape.batch_of_rank();
  const model::BlockPlan block_plan = model::plan_block(shape.block_options());
  const auto block = model::block_costs(shape.llama, block_plan, batch);
  const auto layers = static_cast<double>(shape.llama.num_layers);
  const int64_t per_pass = shape.micro_batch * world / shape.context;
  const auto passes = static_cast<double>((shape.batch_sequences + per_pass - 1) / per_pass);
  StepTime time;
  const double gemm = layers * (block.forward_gemm_flops + block.backward_gemm_flops) +
                      model::head_costs(shape.llama, batch, shape.logit_chunk).gemm_flops;
  time.gemm_s = passes * gemm / (gpu.gemm_tflops * kTera);
  time.attention_s = passes * layers *
                     (block.forward_attention_flops / (gpu.attention_forward_tflops * kTera) +
                      block.backward_attention_flops / (gpu.attention_backward_tflops * kTera));
  time.elementwise_s = passes * static_cast<double>(batch.tokens) * gpu.elementwise_us * 1e-6 *
                       (layers / kReferenceLayers) *
                       (static_cast<double>(shape.llama.hidden_size) / kReferenceWidth);
  time.model_flops = passes * model::model_flops(shape.llama, batch);
  // Elements of the other ranks, of all units and of the blocks; the padding of the ranges travels too.
  const FlatLayout layout(shape.llama, shape.chunk_kib);
  const int holders = shape.shard_ranks(world), copies = world / holders;
  double own = 0, all = 0, blocks = 0;
  for (int u = 0; u < layout.num_units(); ++u) {
    const auto each = static_cast<double>(layout.elements_per_rank(u, holders));
    own += each;
    all += each * (holders - 1);
    if (u > 0 && u + 1 < layout.num_units()) blocks += each * (holders - 1);
  }
  time.optimizer_s = own * kStateBytes / (kMemoryGbs * kGiga);
  if (world == 1) return time;
  const auto bytes_of_value = static_cast<double>(batch.value_bytes);
  // zero3 gathers everything for the forward and the blocks again for the backward; hsdp inside its groups.
  const bool keeps = Shards::keeps_weights(parse_sharding(shape.sharding));
  const double gathered = keeps ? all : passes * (all + blocks);
  const double reduced = all;
  const double reduces = shape.sharding == "zero1-accumulate" ? 1 : passes;
  const double bytes = gathered * bytes_of_value + reduces * reduced * 4;
  // Between copies a reduce-scatter and an all-gather, once a step.
  const double between_copies = 2 * own * 4 * (copies - 1) / copies;
  const double swapped = passes * layers * exchanged_bytes(shape, block_plan);
  time.transfer_bytes = static_cast<int64_t>(bytes + between_copies + swapped);
  const auto rate = [&](int64_t ranks) {
    return (ranks <= gpu.gpus_per_node ? gpu.node_gbs : gpu.network_gbs) * kGiga;
  };
  const double compute = time.gemm_s + time.attention_s + time.elementwise_s;
  // zero1-accumulate moves everything between steps; the others hide it behind the units' compute. Nothing
  // hides what copies add up at the end, nor the swaps of attention.
  const double within_s = bytes / rate(holders);
  time.exposed_transfer_s =
      (shape.sharding == "zero1-accumulate" ? within_s : std::max(0.0, within_s - compute)) +
      between_copies / rate(world) + swapped / rate(shape.context);
  return time;
}

}  // namespace retrace::train
