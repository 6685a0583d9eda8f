// Device code of the optimizer. Compiled without fused multiply-add, so that an update has the CPU's bits
// (train/sharding/adamw.cpp).
#pragma once

#include "model/float_bits.h"
#include "model/kernel_types.h"

namespace retrace::model::cuda {

static __global__ void adamw_kernel(AdamWStep step, float keep, const float* scale, int64_t n, float* master,
                                    float* exp_avg, float* exp_avg_sq, const float* gradient,
                                    uint16_t* bf16) {
  const float factor = scale ? step.gradient_scale * *scale : step.gradient_scale;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += threads) {
    const float g = gradient[i] * factor;
    const float m = step.beta1 * exp_avg[i] + step.one_minus_beta1 * g;
    const float v = step.beta2 * exp_avg_sq[i] + step.one_minus_beta2 * g * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    const float updated = master[i] * keep - step.step_size * (m / (sqrtf(v) / step.root_bias2 + step.eps));
    master[i] = updated;
    if (bf16) bf16[i] = bf16_of_float(updated);
  }
}

// sums[block] = sum of squares of the block's chunk: a lane a thread, then a tree. Block = chunk.
static __global__ void chunk_sums_kernel(const float* values, int64_t chunk, double* sums) {
  __shared__ double lanes[kMaxThreads];
  const float* const from = values + static_cast<int64_t>(blockIdx.x) * chunk;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < chunk; i += blockDim.x) {
    const auto value = static_cast<double>(from[i]);
    sum += value * value;
  }
  lanes[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned width = blockDim.x / 2; width > 0; width /= 2) {
    if (threadIdx.x < width) lanes[threadIdx.x] += lanes[threadIdx.x + width];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = lanes[0];
}

static __global__ void round_to_bf16_kernel(const float* values, int64_t n, uint16_t* bf16) {
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += threads)
    bf16[i] = bf16_of_float(values[i]);
}

}  // namespace retrace::model::cuda
