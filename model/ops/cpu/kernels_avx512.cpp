// The row kernels for x86-64-v4 (AVX-512).
#include "model/ops/cpu/kernels.h"

#include <cstddef>
#include <cstdint>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are only passed between inlined functions

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
namespace retrace::model::avx512 {
#include "model/ops/cpu/kernels_body.inc"
}  // namespace retrace::model::avx512
#pragma GCC pop_options
#endif
