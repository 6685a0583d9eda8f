// What libretrace_cuda.so hands over: one table behind one C function. Binary and library are built from the
// same sources; `version` says so.
#pragma once

#include "model/device/cuda_library.h"
#include "model/device/row_kernels.h"
#include "model/device/te_functions.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace retrace::model {

struct CudaLibrary {
  const char* version;
  const RowKernels<float>* floats;
  const RowKernels<Bf16>* bf16s;
  const GpuOptimizer* optimizer;
  int (*device_count)();
  GpuInfo (*use)(int index);
  GpuMemory (*memory)();
  void (*reset_peak)();
  void (*synchronize)();
  // An NCCL process group of the device in use over `store`; the caller owns the reference. `parent`, if not
  // null, is an NCCL group of which it is split with the colour `color` (no new rendezvous).
  c10d::Backend* (*make_nccl)(c10d::Store& store, int rank, int size, double timeout_s, int device,
                              c10d::Backend* parent, int color);
  void (*abort_nccl)(c10d::Backend& group);
  // Opens libtransformer_engine.so: "" if it is ready, else what is wrong. `te` is usable from then on.
  std::string (*open_te)(const char* path);
  const TeFunctions* te;
};

// The one function that the library exports by name.
using CudaLibraryEntry = const CudaLibrary*();
inline constexpr const char* kCudaLibraryEntry = "retrace_cuda_library";
inline constexpr const char* kCudaLibraryName = "libretrace_cuda.so";

// The opened library. Error{internal} if choose_device() has not said "cuda".
const CudaLibrary& cuda_library();

template <class T>
const RowKernels<T>& row_kernels() {
  if constexpr (sizeof(T) == sizeof(float))
    return *cuda_library().floats;
  else
    return *cuda_library().bf16s;
}

}  // namespace retrace::model
