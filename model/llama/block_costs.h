// What a block costs before it runs: bytes that live at one time and floating-point operations, from the same
// plans that run it.
#pragma once

#include <cstdint>

#include "model/llama/block_program.h"

namespace retrace::model {

// One packed micro-batch.
struct BatchShape {
  int64_t tokens = 0;
  double squared_lengths = 0;  // sum of the squared document lengths
  int64_t value_bytes = 2;     // of an activation: 2 (bf16) or 4 (fp32)
  bool shared = false;         // ranks share the sequence: attention works on exchanged copies
};

struct BlockCosts {
  int64_t kept_bytes = 0;           // from forward to backward, the block's input included
  int64_t offloaded_bytes = 0;      // of these, what the plan allows to wait in host memory
  int64_t forward_peak_bytes = 0;   // while its forward runs, what is kept included
  int64_t backward_peak_bytes = 0;  // while its backward runs, what was kept included
  // Multiply and add count as two. Attention: causal, half of each squared length; its backward is 2.5 times
  // its forward. What is recomputed counts in backward.
  double forward_gemm_flops = 0, backward_gemm_flops = 0;
  double forward_attention_flops = 0, backward_attention_flops = 0;
};
BlockCosts block_costs(const LlamaConfig& config, const BlockPlan& plan, const BatchShape& batch);

// The head in one sweep: norm, logits in chunks, loss, gradients. Every token counts as a label.
struct HeadCosts {
  int64_t peak_bytes = 0;  // beside its input
  double gemm_flops = 0;
};
HeadCosts head_costs(const LlamaConfig& config, const BatchShape& batch, int64_t logit_chunk);

// The numerator of model-FLOP utilisation: three times the forward's products, nothing recomputed, attention
// causal and by the real spans.
double model_flops(const LlamaConfig& config, const BatchShape& batch);

}  // namespace retrace::model
