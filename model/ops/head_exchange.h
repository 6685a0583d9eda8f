// Ulysses context parallel: ranks that share one sequence each hold an equal part of its tokens, with all
// heads; for attention they swap, so that each holds all tokens with an equal part of the heads. Query heads
// are split; key-value heads too, or each is held by several ranks where there are fewer heads than ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/ops/cpu/kernels.h"

namespace retrace::model {

// The ranks that share a sequence, in the order of their tokens.
class ContextPeers {
 public:
  virtual ~ContextPeers() = default;
  virtual int64_t size() const = 0;
  // out = the piece for this rank of every rank's `in`, in rank order: size() equal pieces, contiguous.
  virtual void all_to_all(const at::Tensor& in, const at::Tensor& out) = 0;
};

// Whether `ranks` can split the query heads evenly and the key-value heads evenly or by whole copies.
bool heads_divide(const HeadShape& shape, int64_t ranks);
// What one of them attends with; the shape itself for one rank.
HeadShape heads_of_rank(const HeadShape& shape, int64_t ranks);

// Shape suffixes: s tokens of a rank, t = s * ranks tokens of the sequence. `shape` is that of all heads.
// Packed rows [s, row] to [t, row of heads_of_rank].
at::Tensor exchange_qkv(ContextPeers& peers, const at::Tensor& qkv_s, const HeadShape& shape);
// The way back for its gradient; what ranks found for one key-value head is summed in fp32, in rank order.
at::Tensor return_qkv_gradient(ContextPeers& peers, const at::Tensor& dqkv_t, const HeadShape& shape);
// Rows of attention's output or its gradient: [s, heads * e] to [t, heads * e / ranks], and back.
at::Tensor exchange_rows(ContextPeers& peers, const at::Tensor& x_s);
at::Tensor return_rows(ContextPeers& peers, const at::Tensor& x_t);

}  // namespace retrace::model
