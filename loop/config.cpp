// The keys of the sections in loop/config.h, declared once.
#include "loop/config.h"

namespace retrace::loop {

auto LoopConfig::fields() {
  using L = LoopConfig;
  return std::tuple{
      field("rounds", &L::rounds, "Rounds: each takes a new slice of repositories").range(1, 1000),
      field("start", &L::start, "Weights that a round starts from; base: on all slices so far")
          .choices({"previous", "base"}),
      field("compare", &L::compare,
            "Variants trained beside synth.variant from the same start at equal trained tokens, for "
            "comparison; \"prolong\" trains on the further data sets alone"),
      field("dev_fraction", &L::dev_fraction, "Share of repositories for the development split")
          .range(0, 0.9),
      field("test_fraction", &L::test_fraction, "Share of repositories for the test split").range(0, 0.9)};
}

auto PlanConfig::fields() {
  using P = PlanConfig;
  return std::tuple{
      field("gpu", &P::gpu, "Name of the GPU that the figures below describe"),
      field("memory_gib", &P::memory_gib, "Memory of a GPU").unit("GiB").at_least(0),
      field("overhead_gib", &P::overhead_gib, "Driver, libraries and allocator").unit("GiB").at_least(0),
      field("gemm_tflops", &P::gemm_tflops, "Sustained bf16 matrix products").unit("TFLOP/s").at_least(1e-6),
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
      field("node_gbs", &P::node_gbs, "Bandwidth of a GPU to others of its node").unit("GB/s").at_least(1e-6),
      field("network_gbs", &P::network_gbs, "Bandwidth of a GPU to other nodes").unit("GB/s").at_least(1e-6),
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

}  // namespace retrace::loop

namespace retrace {
template loop::LoopConfig Recipe::get<loop::LoopConfig>() const;
template Section describe<loop::LoopConfig>();
template loop::PlanConfig Recipe::get<loop::PlanConfig>() const;
template Section describe<loop::PlanConfig>();
}  // namespace retrace
