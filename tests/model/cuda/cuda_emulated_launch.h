// The launchers of the device code, over the emulation: what both tests of emulated kernels stand on. To be
// included before everything else.
#pragma once

#include <initializer_list>
#include <type_traits>

#include "tests/model/cuda/cuda_emulation.h"
// The emulation's words must stand before the device code.
#include "model/cuda/kernels.cuh"
#include "model/cuda/optimizer.cuh"
#include "model/device/row_kernels.h"

namespace retrace::model::cuda {
namespace {

emulation::Dim Grid(int64_t x, int64_t y = 1) {
  return {static_cast<unsigned>(x), static_cast<unsigned>(y)};
}
#define RETRACE_KERNEL(...) __VA_ARGS__
#define RETRACE_LAUNCH(kernel, grid, threads, shared, ...) \
  emulation::launch(grid, threads, shared, RETRACE_KERNEL kernel, __VA_ARGS__)
#include "model/cuda/launch.inc"

}  // namespace
}  // namespace retrace::model::cuda
