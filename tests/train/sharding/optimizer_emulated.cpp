// The GPU's optimizer kernels run thread by thread on the CPU, beside the CPU's own optimizer: the same bits.
#include "tests/model/cuda/cuda_emulated_launch.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "core/random.h"
#include "train/sharding/adamw.h"

using namespace retrace;
using namespace retrace::train;

TEST_CASE("the GPU's optimizer kernels emulated on the CPU have the CPU's bits", "[unit]") {
  const model::GpuOptimizer gpu = model::cuda::make_gpu_optimizer();
  constexpr size_t kCount = 1003;
  Random random(1, 1);
  const auto values = [&] {
    std::vector<float> made(kCount);
    for (float& value : made) value = static_cast<float>(random.uniform() * 2 - 1);
    return made;
  };
  std::vector<float> master = values(), m = values(), v = values();
  const std::vector<float> gradient = values();
  for (float& value : v) value = std::abs(value);
  std::vector<float> master2 = master, m2 = m, v2 = v;
  std::vector<uint16_t> bf16(kCount), bf16_2(kCount), rounded(kCount);
  const AdamWStep whole = adamw_step(1e-3, 0.9, 0.95, 1e-8, 0.1, 0.25, 7);
  AdamWStep half = whole;  // the other factor comes from the device
  half.gradient_scale = 0.5f;
  const float scale = 0.5f;
  adamw_update(whole, whole.decay, kCount, master.data(), m.data(), v.data(), gradient.data(), bf16.data());
  gpu.adamw(half, half.decay, &scale, kCount, master2.data(), m2.data(), v2.data(), gradient.data(),
            bf16_2.data());
  REQUIRE(m2 == m);
  REQUIRE(v2 == v);
  REQUIRE(master2 == master);
  REQUIRE(bf16_2 == bf16);
  gpu.round_to_bf16(master.data(), kCount, rounded.data());
  REQUIRE(rounded == bf16);
  double sums[3];
  constexpr int64_t kChunk = 300;
  gpu.chunk_sums(gradient.data(), kChunk, 3, sums);
  for (int64_t c = 0; c < 3; ++c) {
    const double expected = sum_of_squares(gradient.data() + c * kChunk, kChunk);
    REQUIRE(std::abs(sums[c] / expected - 1) < 1e-12);
  }
}
