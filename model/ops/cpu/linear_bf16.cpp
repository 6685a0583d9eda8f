#include "model/ops/cpu/linear_bf16.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "model/ops/cpu/attention_bf16.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are only passed between inlined functions

namespace retrace::model {

bool has_bf16_rows(int64_t width) {
  return has_bf16_attention(width);
}

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512bf16,prefer-vector-width=512")

namespace avx512bf16 {

namespace {

#include "model/ops/cpu/kernels_simd.inc"

constexpr int kTile = 4;

// The dots of kW rows of w with kX rows of x. Each dot is one chain of products, whatever tile it stands in.
template <int kW, int kX>
RETRACE_INLINE void dot_tile(const Bf16* w, const Bf16* x, const Bf16* base, Bf16* y, int64_t width,
                             int64_t stride) {
  __m512 sums[kW][kX];
#pragma GCC unroll 4
  for (int i = 0; i < kW; ++i)
#pragma GCC unroll 4
    for (int r = 0; r < kX; ++r) sums[i][r] = _mm512_setzero_ps();
  for (int64_t k = 0; k < width; k += 2 * kLanes) {
    __m512bh of_x[kX];
#pragma GCC unroll 4
    for (int r = 0; r < kX; ++r) of_x[r] = (__m512bh)_mm512_loadu_si512(x + r * width + k);
#pragma GCC unroll 4
    for (int i = 0; i < kW; ++i) {
      const __m512bh of_w = (__m512bh)_mm512_loadu_si512(w + i * width + k);
#pragma GCC unroll 4
      for (int r = 0; r < kX; ++r) sums[i][r] = _mm512_dpbf16_ps(sums[i][r], of_w, of_x[r]);
    }
  }
  Lanes all[kLanes] = {};
#pragma GCC unroll 4
  for (int r = 0; r < kX; ++r)
#pragma GCC unroll 4
    for (int i = 0; i < kW; ++i) all[r * kTile + i] = (Lanes)sums[i][r];
  const Lanes dots = sums_of(all);
  float flat[kLanes];
  store(flat, dots, kLanes);
  for (int r = 0; r < kX; ++r) {
    Lanes row = load(flat + r * kTile, kW);
    if (base) row += load(base + r * stride, kW);
    store(y + r * stride, row, kW);
  }
}

template <int kW>
RETRACE_INLINE void dot_rows(const Bf16* w, const Bf16* x, const Bf16* base, Bf16* y, int64_t width,
                             int64_t count, int64_t stride) {
  const auto of = [&](const Bf16* rows, int64_t r) { return rows ? rows + r * stride : nullptr; };
  int64_t r = 0;
  for (; r + kTile <= count; r += kTile)
    dot_tile<kW, kTile>(w, x + r * width, of(base, r), y + r * stride, width, stride);
  for (; r < count; ++r) dot_tile<kW, 1>(w, x + r * width, of(base, r), y + r * stride, width, stride);
}

}  // namespace

void matrix_rows(const Bf16* w, const Bf16* x, const Bf16* base, Bf16* y, int64_t rows, int64_t width,
                 int64_t count, int64_t stride) {
  int64_t row = 0;
  for (; row + kTile <= rows; row += kTile)
    dot_rows<kTile>(w + row * width, x, base ? base + row : nullptr, y + row, width, count, stride);
  for (; row < rows; ++row)
    dot_rows<1>(w + row * width, x, base ? base + row : nullptr, y + row, width, count, stride);
}

}  // namespace avx512bf16

#pragma GCC pop_options

#endif

}  // namespace retrace::model
