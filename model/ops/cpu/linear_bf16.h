// Products of a few bf16 rows with a weight matrix on processors with AVX512-BF16: what decoding spends its
// time on. Pairs of bf16 are multiplied and added in fp32; a row's bits do not depend on the other rows.
#pragma once

#include <cstdint>

#include "model/ops/cpu/kernels.h"

namespace retrace::model {

// Whether this processor runs it, for rows of this width (a multiple of 32).
bool has_bf16_rows(int64_t width);

namespace avx512bf16 {

// As KernelTable::matrix_rows.
void matrix_rows(const Bf16* w, const Bf16* x, const Bf16* base, Bf16* y, int64_t rows, int64_t width,
                 int64_t count, int64_t stride);

}  // namespace avx512bf16

}  // namespace retrace::model
