#include "train/ranks/fp32_sum.h"

#include "train/vector_code.h"

namespace retrace::train {
namespace {

RETRACE_VECTOR void add(const float* __restrict values, int64_t n, float* __restrict sum) {
  for (int64_t i = 0; i < n; ++i) sum[i] += values[i];
}

}  // namespace

void add_into(const float* values, int64_t n, float* sum) {
  add(values, n, sum);
}

}  // namespace retrace::train
