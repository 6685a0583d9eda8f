// Row kernels of the blocks: what ATen would need chains of small operators for. Plain C++ over rows,
// compiled for three instruction sets and chosen once at run time. Each works on the rows it is given;
// callers split rows over threads (parallel.h). T is float or Bf16; arithmetic is fp32, a result is rounded
// once unless said otherwise.
#pragma once

#include <cstdint>

#include "model/kernel_types.h"

namespace retrace::model {

template <class T>
struct KernelTable {
  // y = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + eps). hf: x * rstd is rounded to T before the product with
  // w.
  void (*rms_norm)(const T* x, const T* w, T* y, float* rstd, int64_t rows, int64_t width, float eps,
                   bool hf);
  // dx = rstd * (g - xhat * mean(g * xhat)) [+ residual], g = dy * w kept in fp32, one rounding; dw += dy *
  // xhat.
  void (*rms_norm_backward)(const T* x, const T* w, const float* rstd, const T* dy, const T* residual, T* dx,
                            float* dw, int64_t rows, int64_t width, bool hf);
  // Rotates queries and keys of packed rows in place by the angles of their positions; sign -1 rotates back.
  // cos and sin: [positions, head_dim / 2].
  void (*rope)(T* qkv, const float* cos, const float* sin, const int32_t* positions, float sign, int64_t rows,
               HeadShape shape);
  // Packs gradients of queries, and of the keys and values seen by each query head, into rows: keys and
  // values summed over their group in fp32, queries and keys rotated back, one rounding. `wide` takes them in
  // fp32.
  void (*pack_attention_gradient)(const T* dq, const T* dk, const T* dv, HeadStrides strides,
                                  const float* cos, const float* sin, const int32_t* positions, T* dqkv,
                                  int64_t rows, HeadShape shape);
  void (*pack_wide_attention_gradient)(const float* dq, const float* dk, const float* dv, HeadStrides strides,
                                       const float* cos, const float* sin, const int32_t* positions, T* dqkv,
                                       int64_t rows, HeadShape shape);
  // act = silu(gate) * up; rows of gate_up are gate | up.
  void (*swiglu)(const T* gate_up, T* act, int64_t rows, int64_t width);
  void (*swiglu_backward)(const T* gate_up, const T* dact, T* dgate_up, int64_t rows, int64_t width);
  // nll[row] = logsumexp(logits) - logits[label]; logits become weight * (softmax - onehot) if `gradient`.
  void (*cross_entropy)(T* logits, const int64_t* labels, const float* weights, float* nll, int64_t rows,
                        int64_t width, bool gradient);
  // sum += x
  void (*add_to)(const T* x, float* sum, int64_t count);
  // y[r, i] = sum_k w[i, k] * x[r, k] (+ base[r, i] if given) for `count` rows r; rows of w and x are `width`
  // apart, those of y and base `stride`. A row's bits do not depend on the others.
  void (*matrix_rows)(const T* w, const T* x, const T* base, T* y, int64_t rows, int64_t width, int64_t count,
                      int64_t stride);
  // Joins two attention results over disjoint keys by their log-sum-exps, per row and head: a = join(a, b).
  void (*merge_attention)(T* out_a, const float* lse_a, const T* out_b, const float* lse_b, int64_t rows,
                          int64_t heads, int64_t head_dim);
  // One token's attention over `count` keys and values, rows `stride` apart, for a group of query heads that
  // share them: softmax(scale * q k) v, in fp32. `scores`: room for `count`.
  void (*attend_row)(const T* q, const T* keys, const T* values, int64_t count, int64_t stride, int64_t group,
                     int64_t head_dim, float scale, float* scores, T* out);
};

template <class T>
const KernelTable<T>& kernels();

// The tables of the instruction sets, and which one is in use ("avx512", "avx2" or "baseline").
namespace baseline {
extern const KernelTable<float> kFloat;
extern const KernelTable<Bf16> kBf16;
}  // namespace baseline
namespace avx2 {
extern const KernelTable<float> kFloat;
extern const KernelTable<Bf16> kBf16;
}  // namespace avx2
namespace avx512 {
extern const KernelTable<float> kFloat;
extern const KernelTable<Bf16> kBf16;
}  // namespace avx512
const char* kernel_set();

}  // namespace retrace::model
