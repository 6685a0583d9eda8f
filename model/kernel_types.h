// What the kernels on CPUs and on GPUs share: the shapes of packed rows, and the numbers of one AdamW step.
#pragma once

#include <cstdint>

namespace retrace::model {

using Bf16 = uint16_t;  // the bits of a bfloat16

// Shape of a packed row of queries, keys and values: (heads + 2 * kv_heads) * head_dim elements.
struct HeadShape {
  int64_t heads, kv_heads, head_dim;
  constexpr int64_t row() const { return (heads + 2 * kv_heads) * head_dim; }
};

// Elements between kv heads, between query heads of a group, and between tokens.
struct HeadStrides {
  int64_t kv, group, row;
};

// What one AdamW step applies to every element, already rounded to fp32: the same numbers on CPU and GPU.
struct AdamWStep {
  float beta1 = 0, one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0;
  float step_size = 0;            // lr / (1 - beta1^t)
  float root_bias2 = 1;           // sqrt(1 - beta2^t)
  float eps = 0;                  // outside the root
  float gradient_scale = 1;       // clipping
  float decay = 1, no_decay = 1;  // 1 - lr * weight_decay for decayed parameters; 1
};

}  // namespace retrace::model
