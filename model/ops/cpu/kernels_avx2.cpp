// The row kernels for x86-64-v3 (AVX2 and FMA).
#include "model/ops/cpu/kernels.h"

#include <cstddef>
#include <cstdint>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are only passed between inlined functions

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
namespace retrace::model::avx2 {
#include "model/ops/cpu/kernels_body.inc"
}  // namespace retrace::model::avx2
#pragma GCC pop_options
#endif
