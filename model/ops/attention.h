// Causal attention of each document of a packed sequence with itself, grouped queries without repeating keys
// in memory. Backend `cpu`: ATen's flash attention, a call a document; softmax in fp32, output rounded to the
// compute dtype. Tensors on a GPU go to attention_gpu.h. A log-sum-exp belongs to this backend and never
// feeds another. Rows of qkv are packed (HeadShape).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/ops/cpu/kernels.h"
#include "model/ops/rope.h"

namespace retrace::model {

struct AttentionResult {
  at::Tensor out, lse_th;  // [t, heads * head_dim]; fp32 [t, heads]
};

// cpu, cpu-bf16; on a GPU flash or te (bf16) or math (fp32).
const char* attention_backend(at::ScalarType dtype, int64_t head_dim, c10::Device device = c10::kCPU);

// The backend that such tensors will use, run on a small packed sequence beside ATen's fp32 kernel: the worst
// relative error of its output and of its gradients. One that fails or is further off than bf16 explains is
// left out from then on, with a warning, and the next is checked; Error{internal} if it is the last, or was
// asked for by name.
struct AttentionCheck {
  const char* backend;
  double error = 0;
};
AttentionCheck check_attention(at::ScalarType dtype, const HeadShape& shape, c10::Device device = c10::kCPU);
// Test seam: takes the choice of backends back (true) or rules the processor's own kernel out (false).
void allow_bf16_attention(bool allowed);

// Spans tile [0, tokens) without empty ones, or Error{input}: the backend's kernel dies on a span of length
// 0.
void check_spans(const std::vector<int64_t>& starts, int64_t tokens);

AttentionResult attention_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                  const HeadShape& shape);
// The gradient of qkv before its rotation: queries and keys are rotated back. Sums over a group of query
// heads are fp32; one rounding after ATen's.
at::Tensor attention_backward(const at::Tensor& dout, const at::Tensor& qkv, const AttentionResult& result,
                              const std::vector<int64_t>& starts, const HeadShape& shape,
                              const RopeAngles& angles);

// Keys and values of the tokens before, for one block: [capacity, kv_heads * head_dim].
struct KeyValueCache {
  at::Tensor keys, values;
};

// Each span attends to the first `prefix` cached tokens and causally to itself (the last key belongs to the
// last query). The two parts are joined by their log-sum-exps in fp32. Returns out only: nothing here is
// trained.
at::Tensor attention_after_prefix(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                  const HeadShape& shape, const KeyValueCache& cache, int64_t prefix);
// Each row belongs to a text of its own and attends to the first lengths[r] tokens of that text's cache and
// to itself; its key and value are stored behind them. A row's bits do not depend on the other rows.
at::Tensor attention_of_rows(const at::Tensor& qkv, const HeadShape& shape,
                             const std::vector<KeyValueCache>& caches, const std::vector<int64_t>& lengths);
// Copies the keys and values of all rows behind the first `prefix` cached tokens.
void append_to_cache(const at::Tensor& qkv, const HeadShape& shape, const KeyValueCache& cache,
                     int64_t prefix);

}  // namespace retrace::model
