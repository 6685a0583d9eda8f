#include "model/ops/attention_gpu.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "model/device/library_table.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {
namespace {

// Views [token, head, e] of packed rows.
struct PackedHeads {
  at::Tensor q, k, v;
};
PackedHeads packed_heads(const at::Tensor& qkv, const HeadShape& shape) {
  const int64_t e = shape.head_dim, t = qkv.size(0);
  const auto part = [&](int64_t first, int64_t heads) {
    return qkv.narrow(1, first * e, heads * e).view({t, heads, e});
  };
  return {part(0, shape.heads), part(shape.heads, shape.kv_heads),
          part(shape.heads + shape.kv_heads, shape.kv_heads)};
}

double scale_of(const HeadShape& shape) {
  return 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
}

// Document bounds as FlashAttention takes them.
struct Bounds {
  at::Tensor starts;
  int64_t longest = 0;
};
Bounds bounds(const std::vector<int64_t>& starts, c10::Device device) {
  std::vector<int32_t> narrow(starts.begin(), starts.end());
  int64_t longest = 0;
  for (size_t i = 1; i < starts.size(); ++i) longest = std::max(longest, starts[i] - starts[i - 1]);
  return {at::tensor(narrow).to(device), longest};
}

AttentionResult flash_forward(const PackedHeads& heads, const Bounds& queries, const Bounds& keys,
                              bool causal, const HeadShape& shape) {
  const auto result =
      at::_flash_attention_forward(heads.q, heads.k, heads.v, queries.starts, keys.starts, queries.longest,
                                   keys.longest, 0.0, causal, false, scale_of(shape));
  return {std::get<0>(result).reshape({heads.q.size(0), shape.heads * shape.head_dim}),
          std::get<1>(result).transpose(0, 1)};
}

at::Tensor flash_backward(const at::Tensor& dout, const at::Tensor& qkv, const AttentionResult& result,
                          const std::vector<int64_t>& starts, const HeadShape& shape) {
  const PackedHeads heads = packed_heads(qkv, shape);
  const Bounds documents = bounds(starts, qkv.device());
  const auto rows = [&](const at::Tensor& t) { return t.view({qkv.size(0), shape.heads, shape.head_dim}); };
  // Only dropout reads the generator's state.
  const at::Tensor no_state = at::zeros({2}, qkv.options().dtype(at::kUInt64));
  const auto [dq, dk, dv] = at::_flash_attention_backward(
      rows(dout), heads.q, heads.k, heads.v, rows(result.out), result.lse_th.transpose(0, 1),
      documents.starts, documents.starts, documents.longest, documents.longest, 0.0, true, no_state,
      at::zeros({}, no_state.options()), scale_of(shape));
  return at::cat({dq, dk, dv}, 1).view({qkv.size(0), shape.row()});
}

// Views [kv, group, n, e] of rows [t, heads, e], and of keys [kv, 1, n, e].
at::Tensor grouped(const at::Tensor& rows_the, int64_t start, int64_t count, int64_t kv_heads) {
  const int64_t heads = rows_the.size(1), e = rows_the.size(2);
  return rows_the.narrow(0, start, count).view({count, kv_heads, heads / kv_heads, e}).permute({1, 2, 0, 3});
}

constexpr int64_t kQueryRows = 512;  // of a score matrix at once

// body(first query, queries, keys that they see at most, mask) over blocks of a document's queries. The mask
// is -inf where a key stands behind its query.
template <class Body>
void over_queries(int64_t count, const at::TensorOptions& options, const Body& body) {
  for (int64_t first = 0; first < count; first += kQueryRows) {
    const int64_t queries = std::min(kQueryRows, count - first), keys = first + queries;
    const at::Tensor place = at::arange(keys, options.dtype(at::kLong));
    const at::Tensor behind = place.unsqueeze(0) > place.narrow(0, first, queries).unsqueeze(1);
    body(first, queries, keys, at::zeros({queries, keys}, options).masked_fill_(behind, -INFINITY));
  }
}

AttentionResult empty_result(const at::Tensor& qkv, const HeadShape& shape) {
  return {at::empty({qkv.size(0), shape.heads * shape.head_dim}, qkv.options()),
          at::empty({qkv.size(0), shape.heads}, qkv.options().dtype(at::kFloat))};
}

// out and lse of a block of queries, [kv, group, n, e] and [kv, group, n], into the rows of a result.
void put(const at::Tensor& out, const at::Tensor& lse, int64_t start, AttentionResult& into,
         const HeadShape& shape) {
  const int64_t count = out.size(2);
  into.out.narrow(0, start, count)
      .copy_(out.permute({2, 0, 1, 3}).reshape({count, shape.heads * shape.head_dim}));
  into.lse_th.narrow(0, start, count).copy_(lse.permute({2, 0, 1}).reshape({count, shape.heads}));
}

// a = a and b joined, whose keys are disjoint.
at::Tensor join(const AttentionResult& a, const AttentionResult& b, const HeadShape& shape) {
  const int64_t t = a.out.size(0);
  const at::Tensor share = at::sigmoid(a.lse_th - b.lse_th).unsqueeze(2);
  const auto wide = [&](const at::Tensor& out) {
    return out.view({t, shape.heads, shape.head_dim}).to(at::kFloat);
  };
  return (wide(a.out) * share + wide(b.out) * (1.0 - share)).to(a.out.scalar_type()).view(a.out.sizes());
}

PackedHeads with_cache(const at::Tensor& qkv, const HeadShape& shape, const KeyValueCache& cache,
                       int64_t prefix) {
  const auto part = [&](const at::Tensor& rows) {
    return rows.narrow(0, 0, prefix).view({prefix, shape.kv_heads, shape.head_dim});
  };
  return {packed_heads(qkv, shape).q, part(cache.keys), part(cache.values)};
}

bool uses_flash(const at::Tensor& qkv) {
  return qkv.scalar_type() == at::kBFloat16;
}

bool uses_te(const at::Tensor& qkv) {
  return qkv.scalar_type() == at::kBFloat16 && te_use() != TeUse::nothing;
}

AttentionResult flash_of_documents(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                   const HeadShape& shape) {
  const Bounds documents = bounds(starts, qkv.device());
  return flash_forward(packed_heads(qkv, shape), documents, documents, true, shape);
}

// Queries, keys and values apart, and where the documents are.
struct TeInput {
  TeInput(const at::Tensor& qkv, const std::vector<int64_t>& starts, const HeadShape& shape)
      : documents(bounds(starts, qkv.device())) {
    const PackedHeads packed = packed_heads(qkv, shape);
    heads = {packed.q.contiguous(), packed.k.contiguous(), packed.v.contiguous()};
    call = {pointer<Bf16>(heads.q),
            pointer<Bf16>(heads.k),
            pointer<Bf16>(heads.v),
            {pointer<int32_t>(documents.starts), static_cast<int64_t>(starts.size()) - 1, documents.longest,
             qkv.size(0)},
            shape,
            static_cast<float>(scale_of(shape))};
  }
  PackedHeads heads;
  Bounds documents;
  TeAttention call;
};

AttentionResult te_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                           const HeadShape& shape) {
  const TeInput in(qkv, starts, shape);
  AttentionResult result = empty_result(qkv, shape);
  cuda_library().te->attention(in.call, pointer<Bf16>(result.out), pointer<float>(result.lse_th));
  return result;
}

at::Tensor te_backward(const at::Tensor& dout, const at::Tensor& qkv, const AttentionResult& result,
                       const std::vector<int64_t>& starts, const HeadShape& shape) {
  const TeInput in(qkv, starts, shape);
  const at::Tensor dy = dout.contiguous(), out = result.out.contiguous(), lse = result.lse_th.contiguous();
  const at::Tensor dq = at::empty_like(in.heads.q), dk = at::empty_like(in.heads.k),
                   dv = at::empty_like(in.heads.v);
  cuda_library().te->attention_backward(in.call, pointer<Bf16>(dy), pointer<Bf16>(out), pointer<float>(lse),
                                        pointer<Bf16>(dq), pointer<Bf16>(dk), pointer<Bf16>(dv));
  return at::cat({dq, dk, dv}, 1).view({qkv.size(0), shape.row()});
}

}  // namespace

AttentionResult math_attention_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                       const HeadShape& shape) {
  const PackedHeads heads = packed_heads(qkv, shape);
  AttentionResult result = empty_result(qkv, shape);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const int64_t start = starts[i], count = starts[i + 1] - start;
    over_queries(count, qkv.options(),
                 [&](int64_t first, int64_t queries, int64_t keys, const at::Tensor& mask) {
                   const at::Tensor q = grouped(heads.q, start + first, queries, shape.kv_heads);
                   const at::Tensor k = grouped(heads.k, start, keys, shape.kv_heads),
                                    v = grouped(heads.v, start, keys, shape.kv_heads);
                   const at::Tensor scores = at::matmul(q, k.transpose(2, 3)) * scale_of(shape) + mask;
                   const at::Tensor lse = at::logsumexp(scores, {3});
                   put(at::matmul(at::exp(scores - lse.unsqueeze(3)), v), lse, start + first, result, shape);
                 });
  }
  return result;
}

at::Tensor math_attention_backward(const at::Tensor& dout, const at::Tensor& qkv,
                                   const AttentionResult& result, const std::vector<int64_t>& starts,
                                   const HeadShape& shape) {
  const PackedHeads heads = packed_heads(qkv, shape);
  at::Tensor dqkv = at::zeros(qkv.sizes(), qkv.options());
  const PackedHeads gradients = packed_heads(dqkv, shape);
  const auto rows = [&](const at::Tensor& t) { return t.view({qkv.size(0), shape.heads, shape.head_dim}); };
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const int64_t start = starts[i], count = starts[i + 1] - start, kv = shape.kv_heads;
    over_queries(
        count, qkv.options(), [&](int64_t first, int64_t queries, int64_t keys, const at::Tensor& mask) {
          const int64_t at = start + first;
          const at::Tensor q = grouped(heads.q, at, queries, kv), k = grouped(heads.k, start, keys, kv),
                           v = grouped(heads.v, start, keys, kv), dy = grouped(rows(dout), at, queries, kv),
                           y = grouped(rows(result.out), at, queries, kv);
          const at::Tensor lse =
              result.lse_th.narrow(0, at, queries).view({queries, kv, -1}).permute({1, 2, 0});
          const at::Tensor p =
              at::exp(at::matmul(q, k.transpose(2, 3)) * scale_of(shape) + mask - lse.unsqueeze(3));
          const at::Tensor dp = at::matmul(dy, v.transpose(2, 3));
          const at::Tensor ds = p * (dp - (dy * y).sum(3, true)) * scale_of(shape);
          grouped(gradients.q, at, queries, kv).add_(at::matmul(ds, k));
          grouped(gradients.k, start, keys, kv).add_(at::matmul(ds.transpose(2, 3), q).sum(1, true));
          grouped(gradients.v, start, keys, kv).add_(at::matmul(p.transpose(2, 3), dy).sum(1, true));
        });
  }
  return dqkv;
}

at::Tensor math_attention_after_prefix(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                       const HeadShape& shape, const KeyValueCache& cache, int64_t prefix) {
  const PackedHeads before = with_cache(qkv, shape, cache, prefix);
  AttentionResult joined = empty_result(qkv, shape);
  const at::Tensor k = grouped(before.k, 0, prefix, shape.kv_heads),
                   v = grouped(before.v, 0, prefix, shape.kv_heads);
  for (int64_t first = 0; first < qkv.size(0); first += kQueryRows) {
    const int64_t queries = std::min(kQueryRows, qkv.size(0) - first);
    const at::Tensor q = grouped(before.q, first, queries, shape.kv_heads);
    const at::Tensor scores = at::matmul(q, k.transpose(2, 3)) * scale_of(shape);
    const at::Tensor lse = at::logsumexp(scores, {3});
    put(at::matmul(at::exp(scores - lse.unsqueeze(3)), v), lse, first, joined, shape);
  }
  return join(math_attention_forward(qkv, starts, shape), joined, shape);
}

AttentionResult gpu_attention_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                      const HeadShape& shape) {
  if (uses_te(qkv)) return te_forward(qkv, starts, shape);
  return uses_flash(qkv) ? flash_of_documents(qkv, starts, shape)
                         : math_attention_forward(qkv, starts, shape);
}

at::Tensor gpu_attention_backward(const at::Tensor& dout, const at::Tensor& qkv,
                                  const AttentionResult& result, const std::vector<int64_t>& starts,
                                  const HeadShape& shape, const RopeAngles& angles) {
  at::Tensor dqkv = uses_te(qkv)      ? te_backward(dout, qkv, result, starts, shape)
                    : uses_flash(qkv) ? flash_backward(dout, qkv, result, starts, shape)
                                      : math_attention_backward(dout, qkv, result, starts, shape);
  rope_backward_on_gpu(dqkv, angles, shape);
  return dqkv;
}

at::Tensor gpu_attention_after_prefix(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                      const HeadShape& shape, const KeyValueCache& cache, int64_t prefix) {
  if (!uses_flash(qkv)) return math_attention_after_prefix(qkv, starts, shape, cache, prefix);
  const Bounds all = bounds({0, qkv.size(0)}, qkv.device()), keys = bounds({0, prefix}, qkv.device());
  return join(flash_of_documents(qkv, starts, shape),
              flash_forward(with_cache(qkv, shape, cache, prefix), all, keys, false, shape), shape);
}

}  // namespace retrace::model
