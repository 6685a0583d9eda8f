// What a training would need before it starts: bytes of a rank by category, time of a step, cost of the run.
// Memory follows the code that allocates (flat layout, slots, liveness plans); time follows a small model of
// a GPU whose constants are keys of section [plan].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"
#include "core/json.h"
#include "core/recipe.h"
#include "model/llama_config.h"

namespace retrace::model {
struct BatchShape;
struct PlanOptions;
}  // namespace retrace::model

namespace retrace::train {

struct PlanConfig {
  static constexpr const char* kSection = "plan";
  static constexpr const char* kAbout = "What `retrace plan` assumes of the machine and of the input";
  std::string gpu = "H100 SXM";
  double memory_gib = 80, overhead_gib = 2, gemm_tflops = 650, attention_forward_tflops = 284,
         attention_backward_tflops = 287, elementwise_us = 20, node_gbs = 300, network_gbs = 40,
         gpu_hour_price = 2.5;
  int64_t gpus_per_node = 8, document_tokens = 0, repositories = 300000, trajectory_tokens = 12083,
          thoughts = 12, thought_tokens = 150, prompt_tokens = 6000;
  static auto fields() {
    using P = PlanConfig;
    return std::tuple{
        field("gpu", &P::gpu, "Name of the GPU that the figures below describe"),
        field("memory_gib", &P::memory_gib, "Memory of a GPU").unit("GiB").at_least(0),
        field("overhead_gib", &P::overhead_gib, "Driver, libraries and allocator").unit("GiB").at_least(0),
        field("gemm_tflops", &P::gemm_tflops, "Sustained bf16 matrix products")
            .unit("TFLOP/s")
            .at_least(1e-6),
        field("attention_forward_tflops", &P::attention_forward_tflops,
              "Sustained causal attention forward (FlashAttention-2 on H100: 284)")
            .unit("TFLOP/s")
            .at_least(1e-6),
        field("attention_backward_tflops", &P::attention_backward_tflops,
              "The same backward (FlashAttention-2 on H100: 287)")
            .unit("TFLOP/s")
            .at_least(1e-6),
        field("elementwise_us", &P::elementwise_us,
              "Everything that is no product, a token of an 8B model (32 blocks of width 4,096)")
            .unit("us")
            .at_least(0),
        field("node_gbs", &P::node_gbs, "Bandwidth of a GPU to others of its node")
            .unit("GB/s")
            .at_least(1e-6),
        field("network_gbs", &P::network_gbs, "Bandwidth of a GPU to other nodes")
            .unit("GB/s")
            .at_least(1e-6),
        field("gpus_per_node", &P::gpus_per_node, "GPUs that share the faster links").at_least(1),
        field("gpu_hour_price", &P::gpu_hour_price, "Price of a GPU for an hour").at_least(0),
        field("document_tokens", &P::document_tokens, "Length of documents; 0 = data.seq_len").at_least(0),
        field("repositories", &P::repositories, "Repositories to synthesise").at_least(0),
        field("trajectory_tokens", &P::trajectory_tokens, "Mean length of a trajectory (paper: 12,083)")
            .unit("tokens")
            .at_least(0),
        field("thoughts", &P::thoughts, "Thoughts of a trajectory that are searched").at_least(0),
        field("thought_tokens", &P::thought_tokens, "Mean length of a thought").unit("tokens").at_least(0),
        field("prompt_tokens", &P::prompt_tokens, "Mean length of what a generator reads for a thought")
            .unit("tokens")
            .at_least(0)};
  }
};

struct MemoryItem {
  std::string name;
  int64_t bytes = 0;
};

// The bytes that tensors of one rank take at the worst moment of a step.
struct MemoryPlan {
  std::vector<MemoryItem> items;
  // Beside them, in host memory: the copy that an asynchronous save writes, block inputs that wait there.
  int64_t host_save_bytes = 0, host_offload_bytes = 0;
  int64_t total_bytes() const;
};

struct TrainingShape {
  model::LlamaConfig llama;
  int64_t seq_len = 0, micro_batch = 1, batch_sequences = 1, logit_chunk = 1024, chunk_kib = 0;
  double mean_squared_length = 0;  // of a sequence: sum of its squared document lengths
  std::string dtype = "bfloat16", recompute = "none", offload = "none", sharding = "zero3";
  int64_t mlp_tile_tokens = 0;
  int64_t shard_size = 8;            // hsdp: ranks that hold one copy of the state together
  int64_t context = 1;               // ranks that share each sequence
  int shard_ranks(int world) const;  // ranks of `world` that hold one copy of the state together
  model::PlanOptions block_options() const;
  model::BatchShape batch_of_rank() const;  // a micro-batch, as far as one rank computes it
  bool async_saves = false;
};
MemoryPlan plan_memory(const TrainingShape& shape, int world);

// Time of an optimizer step on `world` GPUs, seconds; what transfers cannot hide behind compute is exposed.
struct StepTime {
  double gemm_s = 0, attention_s = 0, elementwise_s = 0, exposed_transfer_s = 0, optimizer_s = 0;
  double total_s() const { return gemm_s + attention_s + elementwise_s + exposed_transfer_s + optimizer_s; }
  double model_flops = 0;      // of a rank, without recomputation
  int64_t transfer_bytes = 0;  // sent and received by a rank
};
StepTime plan_step(const TrainingShape& shape, const PlanConfig& gpu, int world);

// The whole plan of a recipe, as `retrace plan --json` prints it. Error{recipe} if the ranks cannot share the
// batch.
// dry_run: also walks a step and counts its transfers (train/dry_run.h).
Json plan_recipe(const Recipe& recipe, int gpus, bool dry_run);
std::string plan_text(const Json& plan);

}  // namespace retrace::train
