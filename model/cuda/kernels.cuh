// Device code of the row kernels (formulas and rounding points: model/ops/cpu/kernels.h). One block works on
// one row, or on a run of rows or a tile of columns where said; all sums have a fixed order and no kernel
// uses atomics. Plain C++ but for CUDA's own words, so that tests/model/cuda/cuda_emulation.h can run it on a
// CPU.
#pragma once

#include "model/float_bits.h"
#include "model/kernel_types.h"
#include "model/ops/cpu/kernels.h"

namespace retrace::model::cuda {

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;

__device__ inline float widen(float value) {
  return value;
}
__device__ inline float widen(Bf16 bits) {
  return float_of_bf16(bits);
}
template <class T>
__device__ inline T narrow(float value) {
  if constexpr (sizeof(T) == sizeof(float))
    return value;
  else
    return bf16_of_float(value);
}

// kLanes neighbours in one load: 16 bytes if rows allow it, else one element.
template <class T, int kLanes>
struct alignas(sizeof(T) * kLanes) Pack {
  T lane[kLanes];
};
template <class T>
constexpr int kWide = 16 / static_cast<int>(sizeof(T));

template <int kLanes, class T>
__device__ inline Pack<T, kLanes> load(const T* from) {
  return *reinterpret_cast<const Pack<T, kLanes>*>(from);
}
template <int kLanes, class T>
__device__ inline void store(T* to, const Pack<T, kLanes>& pack) {
  *reinterpret_cast<Pack<T, kLanes>*>(to) = pack;
}

// The sum over all threads of a block, in a fixed tree; every thread gets it. `scratch`: kWarp floats shared
// by the block.
__device__ inline float block_sum(float value, float* scratch) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, step);
  __syncthreads();  // the scratch of an earlier call is read by now
  if (thread % kWarp == 0) scratch[thread / kWarp] = value;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < threads / kWarp; ++warp) total += scratch[warp];
  return total;
}

// y = x * rstd * w. Block = row.
template <class T, int kLanes>
__global__ void rms_norm_kernel(const T* x, const T* w, T* y, float* rstd, int64_t width, float eps,
                                bool hf) {
  __shared__ float scratch[kWarp];
  x += blockIdx.x * width;
  y += blockIdx.x * width;
  const int64_t first = threadIdx.x * kLanes, step = blockDim.x * kLanes;
  float squares = 0;
  for (int64_t i = first; i < width; i += step) {
    const auto row = load<kLanes>(x + i);
    for (int j = 0; j < kLanes; ++j) squares += widen(row.lane[j]) * widen(row.lane[j]);
  }
  const float scale = 1.0f / sqrtf(block_sum(squares, scratch) / static_cast<float>(width) + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = scale;
  for (int64_t i = first; i < width; i += step) {
    const auto row = load<kLanes>(x + i), weight = load<kLanes>(w + i);
    Pack<T, kLanes> out;
    for (int j = 0; j < kLanes; ++j) {
      const float xhat = widen(row.lane[j]) * scale;
      out.lane[j] = narrow<T>((hf ? widen(narrow<T>(xhat)) : xhat) * widen(weight.lane[j]));
    }
    store<kLanes>(y + i, out);
  }
}

// dx, and this block's share of dw into partial[block]. Block = `block_rows` rows one after the other;
// sums: width floats shared by the block, in which each thread owns its columns.
template <class T, int kLanes>
__global__ void rms_norm_backward_kernel(const T* x, const T* w, const float* rstd, const T* dy,
                                         const T* residual, T* dx, float* partial, int64_t rows,
                                         int64_t width, int64_t block_rows, bool hf) {
  __shared__ float scratch[kWarp];
  RETRACE_DYNAMIC_SHARED(float, sums);
  const int64_t first = threadIdx.x * kLanes, step = blockDim.x * kLanes;
  for (int64_t i = first; i < width; i += step)
    for (int j = 0; j < kLanes; ++j) sums[i + j] = 0;
  const int64_t begin = blockIdx.x * block_rows, end = begin + block_rows < rows ? begin + block_rows : rows;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * width;
    const float scale = rstd[row];
    float dot = 0;
    for (int64_t i = first; i < width; i += step) {
      const auto xs = load<kLanes>(x + at + i), ws = load<kLanes>(w + i), gs = load<kLanes>(dy + at + i);
      for (int j = 0; j < kLanes; ++j) {
        const float xhat = widen(xs.lane[j]) * scale, g = widen(gs.lane[j]);
        dot += g * widen(ws.lane[j]) * xhat;
        sums[i + j] += g * (hf ? widen(narrow<T>(xhat)) : xhat);
      }
    }
    const float mean = block_sum(dot, scratch) / static_cast<float>(width);
    for (int64_t i = first; i < width; i += step) {
      const auto xs = load<kLanes>(x + at + i), ws = load<kLanes>(w + i), gs = load<kLanes>(dy + at + i);
      Pack<T, kLanes> out, rest;
      if (residual) rest = load<kLanes>(residual + at + i);
      for (int j = 0; j < kLanes; ++j) {
        const float xhat = widen(xs.lane[j]) * scale;
        float gradient = (widen(gs.lane[j]) * widen(ws.lane[j]) - xhat * mean) * scale;
        if (residual) gradient += widen(rest.lane[j]);
        out.lane[j] = narrow<T>(gradient);
      }
      store<kLanes>(dx + at + i, out);
    }
  }
  for (int64_t i = first; i < width; i += step)
    for (int j = 0; j < kLanes; ++j) partial[blockIdx.x * width + i + j] = sums[i + j];
}

// sum[column] += partial[0][column] + partial[1][column] + ...; thread = column.
static __global__ void add_columns_kernel(const float* partial, float* sum, int64_t blocks, int64_t width) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= width) return;
  float total = 0;
  for (int64_t block = 0; block < blocks; ++block) total += partial[block * width + column];
  sum[column] += total;
}

// (a, b) -> (a cos - b sin, b cos + a sin) for the halves of every query and key head. Block = row.
template <class T, int kLanes>
__global__ void rope_kernel(T* qkv, const float* cos, const float* sin, const int32_t* positions, float sign,
                            HeadShape shape) {
  const int64_t half = shape.head_dim / 2, packs = half / kLanes;
  T* const row = qkv + blockIdx.x * shape.row();
  cos += positions[blockIdx.x] * half;
  sin += positions[blockIdx.x] * half;
  for (int64_t n = threadIdx.x; n < (shape.heads + shape.kv_heads) * packs; n += blockDim.x) {
    const int64_t i = n % packs * kLanes;
    T* const head = row + n / packs * shape.head_dim;
    auto a = load<kLanes>(head + i), b = load<kLanes>(head + half + i);
    for (int j = 0; j < kLanes; ++j) {
      const float real = widen(a.lane[j]), imaginary = widen(b.lane[j]);
      const float c = cos[i + j], s = sin[i + j] * sign;
      a.lane[j] = narrow<T>(real * c - imaginary * s);
      b.lane[j] = narrow<T>(imaginary * c + real * s);
    }
    store<kLanes>(head + i, a);
    store<kLanes>(head + half + i, b);
  }
}

__device__ inline float sigmoid(float value) {
  return 1.0f / (1.0f + expf(-value));
}

// act = silu(gate) * up. Block = row.
template <class T, int kLanes>
__global__ void swiglu_kernel(const T* gate_up, T* act, int64_t width) {
  gate_up += blockIdx.x * 2 * width;
  act += blockIdx.x * width;
  for (int64_t i = threadIdx.x * kLanes; i < width; i += blockDim.x * kLanes) {
    const auto gates = load<kLanes>(gate_up + i), ups = load<kLanes>(gate_up + width + i);
    Pack<T, kLanes> out;
    for (int j = 0; j < kLanes; ++j) {
      const float gate = widen(gates.lane[j]);
      out.lane[j] = narrow<T>(gate * sigmoid(gate) * widen(ups.lane[j]));
    }
    store<kLanes>(act + i, out);
  }
}

// d(gate | up), which may stand where gate | up stood. Block = row.
template <class T, int kLanes>
__global__ void swiglu_backward_kernel(const T* gate_up, const T* dact, T* dgate_up, int64_t width) {
  gate_up += blockIdx.x * 2 * width;
  dgate_up += blockIdx.x * 2 * width;
  dact += blockIdx.x * width;
  for (int64_t i = threadIdx.x * kLanes; i < width; i += blockDim.x * kLanes) {
    auto gates = load<kLanes>(gate_up + i), ups = load<kLanes>(gate_up + width + i);
    const auto gs = load<kLanes>(dact + i);
    for (int j = 0; j < kLanes; ++j) {
      const float gate = widen(gates.lane[j]), up = widen(ups.lane[j]), g = widen(gs.lane[j]);
      const float s = sigmoid(gate);
      gates.lane[j] = narrow<T>(g * up * s * (1.0f + gate * (1.0f - s)));
      ups.lane[j] = narrow<T>(g * gate * s);
    }
    store<kLanes>(dgate_up + i, gates);
    store<kLanes>(dgate_up + width + i, ups);
  }
}

// nll = logsumexp(logits) - logits[label]; logits become weight * (softmax - onehot) if `gradient`. One pass
// finds maximum and sum together (rescaling when the maximum grows), one writes. Block = row.
template <class T, int kLanes>
__global__ void cross_entropy_kernel(T* logits, const int64_t* labels, const float* weights, float* nll,
                                     int64_t width, bool gradient) {
  __shared__ float tops[kWarp], sums[kWarp];
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  T* const row = logits + blockIdx.x * width;
  const int64_t label = labels[blockIdx.x];
  const float label_logit = widen(row[label]);
  const int64_t first = threadIdx.x * kLanes, step = blockDim.x * kLanes;
  float top = -INFINITY, sum = 0;
  for (int64_t i = first; i < width; i += step) {
    const auto values = load<kLanes>(row + i);
    float highest = widen(values.lane[0]);
    for (int j = 1; j < kLanes; ++j) highest = fmaxf(highest, widen(values.lane[j]));
    if (highest > top) {
      sum *= expf(top - highest);
      top = highest;
    }
    for (int j = 0; j < kLanes; ++j) sum += expf(widen(values.lane[j]) - top);
  }
  // A thread without elements has top = -inf and sum = 0; it must not make inf - inf.
  const auto join = [&](float other_top, float other_sum) {
    const float joint = fmaxf(top, other_top);
    if (joint == -INFINITY) return;
    sum = sum * expf(top - joint) + other_sum * expf(other_top - joint);
    top = joint;
  };
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const float other_top = __shfl_xor_sync(0xFFFFFFFFu, top, offset);
    const float other_sum = __shfl_xor_sync(0xFFFFFFFFu, sum, offset);
    join(other_top, other_sum);
  }
  if (thread % kWarp == 0) {
    tops[thread / kWarp] = top;
    sums[thread / kWarp] = sum;
  }
  __syncthreads();  // also: every thread has read the label's logit and its share of the row
  top = tops[0];
  sum = sums[0];
  for (int warp = 1; warp < threads / kWarp; ++warp) join(tops[warp], sums[warp]);
  const float lse = top + logf(sum);
  if (thread == 0) nll[blockIdx.x] = lse - label_logit;
  if (!gradient) return;
  const float weight = weights[blockIdx.x];
  for (int64_t i = first; i < width; i += step) {
    auto values = load<kLanes>(row + i);
    for (int j = 0; j < kLanes; ++j) {
      const float share = expf(widen(values.lane[j]) - lse);
      values.lane[j] = narrow<T>((i + j == label ? share - 1.0f : share) * weight);
    }
    store<kLanes>(row + i, values);
  }
}

// sum += x. Thread = pack of elements.
template <class T, int kLanes>
__global__ void add_to_kernel(const T* x, float* sum, int64_t count) {
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kLanes; i < count;
       i += threads * kLanes) {
    const auto values = load<kLanes>(x + i);
    for (int j = 0; j < kLanes; ++j) sum[i + j] += widen(values.lane[j]);
  }
}

// Block (place, tile): if a run of equal ids starts at the place, adds its tokens' rows in order.
template <class T, int kLanes>
__global__ void embedding_gradient_kernel(const T* dx, const int64_t* ids, const int64_t* order,
                                          float* gradient, int64_t tokens, int64_t width) {
  const int64_t place = blockIdx.x, id = ids[place];
  if (place > 0 && ids[place - 1] == id) return;
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * kLanes;
  if (column >= width) return;
  float sums[kLanes];
  for (int j = 0; j < kLanes; ++j) sums[j] = gradient[id * width + column + j];
  for (int64_t i = place; i < tokens && ids[i] == id; ++i) {
    const auto row = load<kLanes>(dx + order[i] * width + column);
    for (int j = 0; j < kLanes; ++j) sums[j] += widen(row.lane[j]);
  }
  for (int j = 0; j < kLanes; ++j) gradient[id * width + column + j] = sums[j];
}

}  // namespace retrace::model::cuda
