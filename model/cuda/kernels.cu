// The kernels on a GPU. No torch here: the current stream comes from stream.cpp.
#include <cuda_runtime_api.h>

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>

#define RETRACE_DYNAMIC_SHARED(type, name) extern __shared__ type name[]

#include "model/cuda/kernels.cuh"
#include "model/cuda/optimizer.cuh"
#include "model/cuda/tables.h"

namespace retrace::model::cuda {
namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(status));
}

dim3 Grid(int64_t x, int64_t y = 1) {
  return {static_cast<unsigned>(x), static_cast<unsigned>(y)};
}

// More shared memory than a block gets unasked.
template <class Kernel>
void allow_shared(Kernel* kernel, size_t bytes) {
  constexpr size_t kUnasked = 48 << 10;
  if (bytes > kUnasked)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "a row is too wide for this device's shared memory");
}

#define RETRACE_KERNEL(...) __VA_ARGS__
#define RETRACE_LAUNCH(kernel, grid, threads, shared, ...)                           \
  do {                                                                               \
    allow_shared(RETRACE_KERNEL kernel, shared);                                     \
    RETRACE_KERNEL kernel<<<grid, threads, shared, current_stream()>>>(__VA_ARGS__); \
    check(cudaGetLastError(), "launch");                                             \
  } while (false)
#include "model/cuda/launch.inc"

}  // namespace

const RowKernels<float> kFloatKernels = make_gpu_kernels<float>();
const RowKernels<Bf16> kBf16Kernels = make_gpu_kernels<Bf16>();
const GpuOptimizer kOptimizer = make_gpu_optimizer();

}  // namespace retrace::model::cuda
