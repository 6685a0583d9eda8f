// Transformer Engine's kernels behind pointers: what libretrace_cuda.so hands over once it has opened
// libtransformer_engine.so. bf16 only. Pointers are device pointers, contiguous unless said otherwise; work
// is queued on the current stream and calls return at once. What the library refuses it throws as
// std::runtime_error. Roundings that differ from ours: its RMSNorm rounds the product with the weight alone
// (our flavour "prolong"), and its RMSNorm backward rounds the weight's gradient to bf16, which numerics
// forbid, so that only its forward stands here.
#pragma once

#include <cstdint>

#include "model/kernel_types.h"

namespace retrace::model {

// Runs of rows, one after the other from row 0: documents, or rows whose positions ascend by one.
struct TeRuns {
  const int32_t* starts;  // count + 1 of them
  int64_t count, longest, rows;
};

struct TeAttention {
  const Bf16 *q, *k, *v;  // [rows, heads | kv_heads, head_dim]
  TeRuns documents;
  HeadShape shape;
  float scale;
};

struct TeFunctions {
  // Causal in each document. out like q; lse [rows, heads], natural logarithm.
  void (*attention)(const TeAttention& in, Bf16* out, float* lse);
  // Deterministic.
  void (*attention_backward)(const TeAttention& in, const Bf16* dout, const Bf16* out, const float* lse,
                             Bf16* dq, Bf16* dk, Bf16* dv);
  void (*rms_norm)(const Bf16* x, const Bf16* w, Bf16* y, float* rstd, int64_t rows, int64_t width,
                   float eps);
  // Rotates `heads` heads at the front of rows that are `stride` elements apart into [rows, heads, head_dim].
  // angles: [positions, head_dim], both halves alike; first: the position of each run's first row.
  void (*rope)(const Bf16* in, int64_t stride, Bf16* out, const float* angles, int64_t positions,
               const int32_t* first, const TeRuns& runs, int64_t heads, int64_t head_dim, bool back);
  void (*swiglu)(const Bf16* gate_up, Bf16* act, int64_t rows, int64_t width);
  void (*swiglu_backward)(const Bf16* gate_up, const Bf16* dact, Bf16* dgate_up, int64_t rows, int64_t width);
};

// What this process takes from Transformer Engine; set before the first pass (model/device/te_choice.h).
enum class TeUse { nothing, attention, all };
TeUse te_use();
void set_te_use(TeUse use);

}  // namespace retrace::model
