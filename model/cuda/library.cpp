// The library's table, and the little of CUDA's runtime and of torch's CUDA side that the program asks for.
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include "core/build_info.h"
#include "model/cuda/nccl.h"
#include "model/cuda/tables.h"
#include "model/cuda/te.h"
#include "model/device/library_table.h"

namespace retrace::model::cuda {

cudaStream_t current_stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

namespace {

GpuInfo use(int index) {
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return {properties.name, properties.major, properties.minor,
          static_cast<int64_t>(properties.totalGlobalMem)};
}

c10::CachingDeviceAllocator::DeviceStats stats() {
  return c10::cuda::CUDACachingAllocator::getDeviceStats(c10::cuda::current_device());
}

GpuMemory memory() {
  // The first of the allocator's pools is their sum.
  const auto allocated = stats().allocated_bytes[0];
  return {allocated.current, allocated.peak};
}

void reset_peak() {
  c10::cuda::CUDACachingAllocator::resetPeakStats(c10::cuda::current_device());
}

void synchronize() {
  c10::cuda::device_synchronize();
}

int device_count() {
  return c10::cuda::device_count_ensure_non_zero();
}

const CudaLibrary kLibrary = {
    kVersion,   &kFloatKernels, &kBf16Kernels, &kOptimizer, device_count, use,         memory,
    reset_peak, synchronize,    make_nccl,     abort_nccl,  open_te,      &kTeKernels,
};

}  // namespace
}  // namespace retrace::model::cuda

extern "C" __attribute__((visibility("default"))) const retrace::model::CudaLibrary* retrace_cuda_library() {
  return &retrace::model::cuda::kLibrary;
}
