// The GPU side of the program: libretrace_cuda.so beside the binary, opened when a device asks for it. The
// binary itself links no CUDA library and starts without one. No torch here.
#pragma once

#include <cstdint>
#include <string>

namespace retrace::model {

struct GpuInfo {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;  // compute capability
  int64_t memory_bytes = 0;
};

// "cpu" or "cuda" for a recipe's device: "auto" means cuda where a driver, a device and the library are, else
// cpu. Opens the library if the answer is cuda. Must be called before ATen is used by any thread (ATen looks
// for CUDA once). Error{recipe} for other words, and for "cuda" where something is missing: what, and where
// to get it.
std::string choose_device(const std::string& wanted);

int gpu_count();  // of this machine; 0 unless choose_device() has said "cuda"

// Makes GPU `index` of this machine the one that this process works on. Error{recipe} if there is none.
GpuInfo use_gpu(int index);
GpuInfo gpu_in_use();  // what use_gpu() has said last; empty before

// Bytes that tensors hold on the GPU in use now, and at most since the last reset.
struct GpuMemory {
  int64_t now_bytes = 0, peak_bytes = 0;
};
GpuMemory gpu_memory();
void reset_gpu_peak();
// Waits for all work queued so far, so that a clock means something. Nothing without a GPU in use.
void gpu_synchronize();

}  // namespace retrace::model
