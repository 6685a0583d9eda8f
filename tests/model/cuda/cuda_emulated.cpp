// The CUDA kernels run thread by thread on the CPU, beside the CPU's own kernels: their logic, at every
// vector width and block shape that the launcher chooses, where there is no GPU.
#include "tests/model/cuda/cuda_emulated_launch.h"
#include "tests/model/cuda/gpu_kernels_testing.h"

using namespace retrace::model;

TEST_CASE("CUDA kernels emulated on the CPU compute what the CPU's kernels compute", "[unit]") {
  gpu_testing::check_kernels<float>(cuda::make_gpu_kernels<float>(), at::kCPU, 131, 1040);
  gpu_testing::check_kernels<Bf16>(cuda::make_gpu_kernels<Bf16>(), at::kCPU, 131, 2080);
}

TEST_CASE("a barrier that only some threads of an emulated block reach is noticed", "[unit]") {
  const auto uneven = [] {
    if (threadIdx.x < 16) __syncthreads();
  };
  REQUIRE_THROWS_AS(emulation::launch({1}, 32, 0, uneven), std::logic_error);
}
