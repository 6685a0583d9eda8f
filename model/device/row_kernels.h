// The row kernels on a GPU: what libretrace_cuda.so hands to the ops. Pointers are device pointers; work is
// queued on the current stream of the current device and calls return at once. Formulas, rounding points and
// the arguments' meaning are those of kernels.h; every sum has a fixed order, so results do not change from
// run to run.
#pragma once

#include <cstdint>

#include "model/kernel_types.h"

namespace retrace::model {

template <class T>
struct RowKernels {
  void (*rms_norm)(const T* x, const T* w, T* y, float* rstd, int64_t rows, int64_t width, float eps,
                   bool hf);
  // partial: gpu_norm_blocks(rows) * width floats of scratch. dw is added to.
  void (*rms_norm_backward)(const T* x, const T* w, const float* rstd, const T* dy, const T* residual, T* dx,
                            float* dw, float* partial, int64_t rows, int64_t width, bool hf);
  void (*rope)(T* qkv, const float* cos, const float* sin, const int32_t* positions, float sign, int64_t rows,
               HeadShape shape);
  void (*swiglu)(const T* gate_up, T* act, int64_t rows, int64_t width);
  void (*swiglu_backward)(const T* gate_up, const T* dact, T* dgate_up, int64_t rows, int64_t width);
  void (*cross_entropy)(T* logits, const int64_t* labels, const float* weights, float* nll, int64_t rows,
                        int64_t width, bool gradient);
  void (*add_to)(const T* x, float* sum, int64_t count);
  // gradient[id] += dx of every token with that id, in token order. ids ascend; order[i] is the token that
  // stands at place i after the stable sort.
  void (*embedding_gradient)(const T* dx, const int64_t* ids, const int64_t* order, float* gradient,
                             int64_t tokens, int64_t width);
};

// Rows whose weight gradients are summed by one block, as on the CPU.
inline constexpr int64_t kNormBlockRows = 128;
constexpr int64_t gpu_norm_blocks(int64_t rows) {
  return (rows + kNormBlockRows - 1) / kNormBlockRows;
}

struct GpuOptimizer {
  // scale: one float on the device that multiplies the gradient beside step.gradient_scale, or null. bf16 may
  // be null.
  void (*adamw)(const AdamWStep& step, float keep, const float* scale, int64_t n, float* master,
                float* exp_avg, float* exp_avg_sq, const float* gradient, uint16_t* bf16);
  // sums[c] = sum of squares of values[c * chunk, (c + 1) * chunk) in fp64.
  void (*chunk_sums)(const float* values, int64_t chunk, int64_t chunks, double* sums);
  void (*round_to_bf16)(const float* values, int64_t n, uint16_t* bf16);
};

}  // namespace retrace::model
