// Causal attention of one document and head in bf16, on processors with AVX512-BF16: the backend `cpu-bf16`.
// Products of bf16 accumulate in fp32; softmax, log-sum-exp and all sums are fp32; probabilities and their
// gradients are rounded to bf16 before they enter a product. Results do not depend on the thread count.
#pragma once

#include <cstdint>

#include "model/ops/cpu/kernels.h"

namespace retrace::model {

// Whether this processor runs it, for heads of this width (a multiple of 32).
bool has_bf16_attention(int64_t head_dim);

// Rows of `count` tokens; consecutive tokens lie *_stride elements apart.
struct HeadRows {
  const Bf16 *q, *k, *v;
  int64_t stride;
  int64_t count, head_dim;
};

namespace avx512bf16 {

// out rows are out_stride elements apart, lse entries lse_stride.
void attention_head_forward(const HeadRows& head, Bf16* out, int64_t out_stride, float* lse,
                            int64_t lse_stride);

// dq, dk, dv: fp32 [count, head_dim], overwritten. dout has the layout of out.
void attention_head_backward(const HeadRows& head, const Bf16* out, const Bf16* dout, int64_t out_stride,
                             const float* lse, int64_t lse_stride, float* dq, float* dk, float* dv);

}  // namespace avx512bf16

}  // namespace retrace::model
