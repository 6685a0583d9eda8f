// Attention of tensors on a GPU. Backend `flash` (bf16): FlashAttention-2 through ATen, all documents in one
// call, grouped queries natively, softmax in fp32. Backend `te` (bf16): cuDNN's attention through Transformer
// Engine, the same packing, chosen by te_use(); queries, keys and values are copied apart for it. Inference
// behind a cache takes flash, so that no log-sum-exp crosses backends. Backend `math` (fp32, for tests and
// small models): plain products over blocks of queries; it runs on any device. Neither writes into packed
// rows: gradients are joined and rotated back afterwards.
#pragma once

#include "model/ops/attention.h"

namespace retrace::model {

AttentionResult gpu_attention_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                      const HeadShape& shape);
at::Tensor gpu_attention_backward(const at::Tensor& dout, const at::Tensor& qkv,
                                  const AttentionResult& result, const std::vector<int64_t>& starts,
                                  const HeadShape& shape, const RopeAngles& angles);
at::Tensor gpu_attention_after_prefix(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                      const HeadShape& shape, const KeyValueCache& cache, int64_t prefix);

// The backend `math`, on any device. Each document's queries see its keys up to their own place.
AttentionResult math_attention_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                       const HeadShape& shape);
// [dq | dk | dv] as packed rows, queries and keys still rotated.
at::Tensor math_attention_backward(const at::Tensor& dout, const at::Tensor& qkv,
                                   const AttentionResult& result, const std::vector<int64_t>& starts,
                                   const HeadShape& shape);
// The attention of packed rows to a prefix and to their own document, joined by log-sum-exps; math only.
at::Tensor math_attention_after_prefix(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                       const HeadShape& shape, const KeyValueCache& cache, int64_t prefix);

}  // namespace retrace::model
