// What kernels.cu and library.cpp share.
#pragma once

#include <cuda_runtime_api.h>

#include "model/device/row_kernels.h"

namespace retrace::model::cuda {

cudaStream_t current_stream();
extern const RowKernels<float> kFloatKernels;
extern const RowKernels<Bf16> kBf16Kernels;
extern const GpuOptimizer kOptimizer;

}  // namespace retrace::model::cuda
