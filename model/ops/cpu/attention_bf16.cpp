#include "model/ops/cpu/attention_bf16.h"

#include <cmath>
#include <cstring>
#include <memory>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are only passed between inlined functions

namespace retrace::model {

bool has_bf16_attention([[maybe_unused]] int64_t head_dim) {
#if defined(__x86_64__)
  static const bool runs = __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512bf16");
  return runs && head_dim % 32 == 0;
#else
  return false;
#endif
}

#if defined(__x86_64__)

// Scratch of one call, aligned and zero at first.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : data_(static_cast<T*>(operator new (static_cast<size_t>(count) * sizeof(T), std::align_val_t{64}))) {
    std::memset(data_, 0, static_cast<size_t>(count) * sizeof(T));
  }
  ~Scratch() { operator delete (data_, std::align_val_t{64}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* at(int64_t offset) const { return data_ + offset; }

 private:
  T* data_;
};

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512bf16,prefer-vector-width=512")

namespace avx512bf16 {

namespace {

#include "model/ops/cpu/kernels_simd.inc"

constexpr int64_t kBlock = 64;                // queries and keys of a tile
constexpr int64_t kGroups = kBlock / kLanes;  // vectors of queries

// Everything is computed transposed, [key, query] and [e, query]: a query is a lane, so that the softmax
// needs no sum across lanes. B operands are "paired": [k / 2, n, 2], two consecutive k side by side.

// c (+)= a b for 8 rows of a and 32 columns of b. `pairs` = k / 2.
template <bool kAdd>
RETRACE_INLINE void tile(const Bf16* a, int64_t a_stride, const Bf16* b, int64_t b_stride, int64_t pairs,
                         float* c, int64_t c_stride) {
  __m512 sum[8][2];
#pragma GCC unroll 8
  for (int64_t r = 0; r < 8; ++r)
#pragma GCC unroll 2
    for (int64_t j = 0; j < 2; ++j)
      sum[r][j] = kAdd ? _mm512_loadu_ps(c + r * c_stride + j * kLanes) : _mm512_setzero_ps();
  for (int64_t p = 0; p < pairs; ++p) {
    const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b + p * b_stride);
    const __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + p * b_stride + 2 * kLanes);
#pragma GCC unroll 8
    for (int64_t r = 0; r < 8; ++r) {
      int32_t two;
      __builtin_memcpy(&two, a + r * a_stride + 2 * p, sizeof two);
      const __m512bh row = (__m512bh)_mm512_set1_epi32(two);
      sum[r][0] = _mm512_dpbf16_ps(sum[r][0], row, b0);
      sum[r][1] = _mm512_dpbf16_ps(sum[r][1], row, b1);
    }
  }
#pragma GCC unroll 8
  for (int64_t r = 0; r < 8; ++r)
#pragma GCC unroll 2
    for (int64_t j = 0; j < 2; ++j) _mm512_storeu_ps(c + r * c_stride + j * kLanes, sum[r][j]);
}

// c[m, n] (+)= a[m, k] b[k, n]; m a multiple of 8, n of 32; b paired.
template <bool kAdd>
void product(const Bf16* a, int64_t a_stride, const Bf16* b, int64_t m, int64_t n, int64_t k, float* c,
             int64_t c_stride) {
  for (int64_t j = 0; j < n; j += 2 * kLanes)
    for (int64_t i = 0; i < m; i += 8)
      tile<kAdd>(a + i * a_stride, a_stride, b + 2 * j, 2 * n, k / 2, c + i * c_stride + j, c_stride);
}

// To bf16. Denormals become zero, as they do in the products.
RETRACE_INLINE HalfLanes rounded(const Lanes& v) {
  return (HalfLanes)_mm512_cvtneps_pbh((__m512)v);
}
RETRACE_INLINE HalfLanes load_half(const Bf16* p) {
  HalfLanes half;
  __builtin_memcpy(&half, p, sizeof half);
  return half;
}
RETRACE_INLINE void store_half(Bf16* p, const HalfLanes& half) {
  __builtin_memcpy(p, &half, sizeof half);
}
// Two rows as one paired row.
RETRACE_INLINE void store_pair(Bf16* out, const HalfLanes& even, const HalfLanes& odd) {
  const BitLanes both = __builtin_convertvector(even, BitLanes) | __builtin_convertvector(odd, BitLanes)
                                                                      << 16;
  __builtin_memcpy(out, &both, sizeof both);
}

int64_t padded(int64_t count) {
  return (count + kBlock - 1) / kBlock * kBlock;
}

// Blocks of 64 rows, each [e / 2, 64, 2]: b operands whose columns are rows.
void pair_columns(const Bf16* rows, int64_t stride, int64_t count, int64_t width, Bf16* out) {
  for (int64_t row = 0; row < count; ++row) {
    Bf16* const block = out + row / kBlock * kBlock * width + row % kBlock * 2;
    for (int64_t e = 0; e < width; e += 2)
      std::memcpy(block + e * kBlock, rows + row * stride + e, 2 * sizeof(Bf16));
  }
}
// [rows / 2, e, 2]: b operands whose k are rows. The last row of an odd count pairs with zeros.
void pair_rows(const Bf16* rows, int64_t stride, int64_t count, int64_t width, Bf16* out) {
  for (int64_t row = 0; row < count; row += 2)
    for (int64_t e = 0; e < width; e += kLanes) {
      const Bf16* const at = rows + row * stride + e;
      store_pair(out + row * width + 2 * e, load_half(at),
                 row + 1 < count ? load_half(at + stride) : HalfLanes{});
    }
}
void copy_rows(const Bf16* rows, int64_t stride, int64_t count, int64_t width, Bf16* out) {
  for (int64_t row = 0; row < count; ++row)
    std::memcpy(out + row * width, rows + row * stride, static_cast<size_t>(width) * sizeof(Bf16));
}
// Blocks of 64 rows, each [e, 64].
void transpose_blocks(const Bf16* rows, int64_t stride, int64_t count, int64_t width, Bf16* out) {
  for (int64_t row = 0; row < count; ++row) {
    Bf16* const column = out + row / kBlock * kBlock * width + row % kBlock;
    for (int64_t e = 0; e < width; ++e) column[e * kBlock] = rows[row * stride + e];
  }
}

// Lanes whose query stands before the key: minus infinity. Both count from the start of the diagonal tile.
RETRACE_INLINE Lanes masked(Lanes score, int64_t key, int64_t first_query) {
  const IntLanes lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lane + static_cast<int32_t>(first_query) < static_cast<int32_t>(key) ? splat(-__builtin_inff())
                                                                              : score;
}

// The online softmax over one tile of scores [key, query]: probabilities go to `paired`, the running maximum
// and sum of each query are updated, and out [e, query] is rescaled to the new maximum.
void softmax_tile(float* scores, float scale, bool diagonal, Bf16* paired, float* highest, float* sums,
                  float* out, int64_t width) {
  for (int64_t g = 0; g < kBlock; g += kLanes) {
    const Lanes before = load(highest + g, kLanes);
    Lanes top = before;
    for (int64_t key = 0; key < kBlock; ++key) {
      Lanes score = load(scores + key * kBlock + g, kLanes) * scale;
      if (diagonal) score = masked(score, key, g);
      store(scores + key * kBlock + g, score, kLanes);
      top = max(top, score);
    }
    Lanes sum = {};
    for (int64_t key = 0; key < kBlock; key += 2) {
      const Lanes even = exp(load(scores + key * kBlock + g, kLanes) - top);
      const Lanes odd = exp(load(scores + (key + 1) * kBlock + g, kLanes) - top);
      sum += even + odd;
      store_pair(paired + key * kBlock + 2 * g, rounded(even), rounded(odd));
    }
    const Lanes shrink = exp(before - top);
    store(sums + g, load(sums + g, kLanes) * shrink + sum, kLanes);
    store(highest + g, top, kLanes);
    for (int64_t e = 0; e < width; ++e)
      store(out + e * kBlock + g, load(out + e * kBlock + g, kLanes) * shrink, kLanes);
  }
}

// From scores and dP, both [key, query]: P as rows, dS = P * (dP - delta) * scale as rows and paired.
void gradient_tile(const float* scores, const float* dp, float scale, bool diagonal, const float* lse,
                   const float* delta, Bf16* p_rows, Bf16* ds_rows, Bf16* ds_paired) {
  for (int64_t key = 0; key < kBlock; key += 2)
    for (int64_t g = 0; g < kBlock; g += kLanes) {
      const int64_t at = key * kBlock + g;
      HalfLanes ds[2];
      for (int64_t i = 0; i < 2; ++i) {
        Lanes score = load(scores + at + i * kBlock, kLanes) * scale;
        if (diagonal) score = masked(score, key + i, g);
        const Lanes p = exp(score - load(lse + g, kLanes));
        ds[i] = rounded(p * (load(dp + at + i * kBlock, kLanes) - load(delta + g, kLanes)) * scale);
        store_half(p_rows + at + i * kBlock, rounded(p));
        store_half(ds_rows + at + i * kBlock, ds[i]);
      }
      store_pair(ds_paired + at + g, ds[0], ds[1]);
    }
}

}  // namespace

void attention_head_forward(const HeadRows& head, Bf16* out, int64_t out_stride, float* lse,
                            int64_t lse_stride) {
  const int64_t width = head.head_dim, count = head.count, rows = padded(count);
  const float scale = 1.0f / std::sqrt(static_cast<float>(width));
  const Scratch<Bf16> k(rows * width), v_transposed(width * rows), q(rows * width), p(kBlock * kBlock);
  const Scratch<float> scores(kBlock * kBlock), sum_out(width * kBlock), highest(kBlock), sums(kBlock);
  copy_rows(head.k, head.stride, count, width, k.at(0));
  transpose_blocks(head.v, head.stride, count, width, v_transposed.at(0));
  pair_columns(head.q, head.stride, count, width, q.at(0));
  for (int64_t query = 0; query < count; query += kBlock) {
    for (int64_t i = 0; i < kBlock; ++i) {
      *highest.at(i) = -INFINITY;
      *sums.at(i) = 0;
    }
    std::memset(sum_out.at(0), 0, static_cast<size_t>(width * kBlock) * sizeof(float));
    for (int64_t key = 0; key <= query; key += kBlock) {
      product<false>(k.at(key * width), width, q.at(query * width), kBlock, kBlock, width, scores.at(0),
                     kBlock);
      softmax_tile(scores.at(0), scale, key == query, p.at(0), highest.at(0), sums.at(0), sum_out.at(0),
                   width);
      product<true>(v_transposed.at(key * width), kBlock, p.at(0), width, kBlock, kBlock, sum_out.at(0),
                    kBlock);
    }
    for (int64_t i = 0; i < kBlock && query + i < count; ++i) {
      float row[kBlock];
      lse[(query + i) * lse_stride] = *highest.at(i) + std::log(*sums.at(i));
      for (int64_t e = 0; e < width; e += kBlock) {
        const int64_t n = width - e < kBlock ? width - e : kBlock;
        for (int64_t c = 0; c < n; ++c) row[c] = *sum_out.at((e + c) * kBlock + i) / *sums.at(i);
        for (int64_t c = 0; c < n; c += kLanes)
          store(out + (query + i) * out_stride + e + c, load(row + c, kLanes), kLanes);
      }
    }
  }
}

void attention_head_backward(const HeadRows& head, const Bf16* out, const Bf16* dout, int64_t out_stride,
                             const float* lse, int64_t lse_stride, float* dq, float* dk, float* dv) {
  const int64_t width = head.head_dim, count = head.count, rows = padded(count);
  const float scale = 1.0f / std::sqrt(static_cast<float>(width));
  const Scratch<Bf16> k(rows * width), v(rows * width), k_transposed(width * rows), q(rows * width),
      q_rows(rows * width), go(rows * width), go_rows(rows * width);
  const Scratch<Bf16> p_rows(kBlock * kBlock), ds_rows(kBlock * kBlock), ds_paired(kBlock * kBlock);
  const Scratch<float> lses(rows), delta(rows), scores(kBlock * kBlock), dp(kBlock * kBlock),
      dq_transposed(width * rows), dk_block(kBlock * width), dv_block(kBlock * width);
  copy_rows(head.k, head.stride, count, width, k.at(0));
  copy_rows(head.v, head.stride, count, width, v.at(0));
  transpose_blocks(head.k, head.stride, count, width, k_transposed.at(0));
  pair_columns(head.q, head.stride, count, width, q.at(0));
  pair_rows(head.q, head.stride, count, width, q_rows.at(0));
  pair_columns(dout, out_stride, count, width, go.at(0));
  pair_rows(dout, out_stride, count, width, go_rows.at(0));
  for (int64_t row = 0; row < rows; ++row) *lses.at(row) = row < count ? lse[row * lse_stride] : INFINITY;
  for (int64_t row = 0; row < count; ++row) {
    Lanes dot = {};
    for (int64_t e = 0; e < width; e += kLanes)
      dot += load(out + row * out_stride + e, kLanes) * load(dout + row * out_stride + e, kLanes);
    *delta.at(row) = sum_of(dot);
  }
  for (int64_t key = 0; key < count; key += kBlock) {
    std::memset(dk_block.at(0), 0, static_cast<size_t>(kBlock * width) * sizeof(float));
    std::memset(dv_block.at(0), 0, static_cast<size_t>(kBlock * width) * sizeof(float));
    for (int64_t query = key; query < count; query += kBlock) {
      const int64_t at = query * width;
      product<false>(k.at(key * width), width, q.at(at), kBlock, kBlock, width, scores.at(0), kBlock);
      product<false>(v.at(key * width), width, go.at(at), kBlock, kBlock, width, dp.at(0), kBlock);
      gradient_tile(scores.at(0), dp.at(0), scale, key == query, lses.at(query), delta.at(query),
                    p_rows.at(0), ds_rows.at(0), ds_paired.at(0));
      product<true>(p_rows.at(0), kBlock, go_rows.at(at), kBlock, width, kBlock, dv_block.at(0), width);
      product<true>(ds_rows.at(0), kBlock, q_rows.at(at), kBlock, width, kBlock, dk_block.at(0), width);
      product<true>(k_transposed.at(key * width), kBlock, ds_paired.at(0), width, kBlock, kBlock,
                    dq_transposed.at(at), kBlock);
    }
    const size_t bytes =
        static_cast<size_t>((count - key < kBlock ? count - key : kBlock) * width) * sizeof(float);
    std::memcpy(dk + key * width, dk_block.at(0), bytes);
    std::memcpy(dv + key * width, dv_block.at(0), bytes);
  }
  for (int64_t row = 0; row < count; ++row) {
    const float* const column = dq_transposed.at(row / kBlock * kBlock * width + row % kBlock);
    for (int64_t e = 0; e < width; ++e) dq[row * width + e] = column[e * kBlock];
  }
}

}  // namespace avx512bf16

#pragma GCC pop_options

#endif

}  // namespace retrace::model
