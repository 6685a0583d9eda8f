// The row kernels for any processor.
#include "model/ops/cpu/kernels.h"

#include <cstddef>
#include <cstdint>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are only passed between inlined functions

namespace retrace::model::baseline {
#include "model/ops/cpu/kernels_body.inc"
}  // namespace retrace::model::baseline
