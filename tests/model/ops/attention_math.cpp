// The attention backend `math`, which serves fp32 on GPUs, run on the CPU beside the backend `cpu`.
#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>

#include "model/ops/attention_gpu.h"

using namespace retrace::model;

namespace {
double distance(const at::Tensor& value, const at::Tensor& expected) {
  return ((value - expected).norm() / expected.norm()).item<double>();
}
}  // namespace

TEST_CASE("attention backend math agrees with cpu on output log-sum-exp and gradients", "[unit]") {
  at::manual_seed(3);
  for (const HeadShape shape : {HeadShape{4, 2, 64}, HeadShape{3, 1, 32}, HeadShape{2, 2, 8}}) {
    for (const std::vector<int64_t>& starts :
         std::vector<std::vector<int64_t>>{{0, 1}, {0, 63, 64, 330}, {0, 5, 1100}}) {
      const int64_t tokens = starts.back();
      INFO(shape.heads << "/" << shape.kv_heads << " x " << shape.head_dim << ", " << tokens << " tokens");
      const at::Tensor qkv = at::randn({tokens, shape.row()});
      const at::Tensor dout = at::randn({tokens, shape.heads * shape.head_dim});
      const AttentionResult expected = attention_forward(qkv, starts, shape);
      const AttentionResult result = math_attention_forward(qkv, starts, shape);
      REQUIRE(distance(result.out, expected.out) < 2e-6);
      REQUIRE((result.lse_th - expected.lse_th).abs().max().item<double>() < 1e-5);
      const RopeAngles still =
          rope_angles(at::zeros({shape.head_dim / 2}), std::vector<int32_t>(static_cast<size_t>(tokens), 0));
      REQUIRE(distance(math_attention_backward(dout, qkv, result, starts, shape),
                       attention_backward(dout, qkv, expected, starts, shape, still)) < 3e-6);
    }
  }
}

TEST_CASE("attention backend math behind a cached prefix agrees with cpu", "[unit]") {
  at::manual_seed(5);
  const HeadShape shape{4, 2, 64};
  const int64_t width = shape.kv_heads * shape.head_dim;
  const at::Tensor before = at::randn({90, shape.row()});
  KeyValueCache cache{at::full({200, width}, NAN), at::full({200, width}, NAN)};
  append_to_cache(before, shape, cache, 0);
  for (const std::vector<int64_t>& starts : std::vector<std::vector<int64_t>>{{0, 1}, {0, 7, 8, 80}}) {
    const at::Tensor qkv = at::randn({starts.back(), shape.row()});
    REQUIRE(distance(math_attention_after_prefix(qkv, starts, shape, cache, 90),
                     attention_after_prefix(qkv, starts, shape, cache, 90)) < 2e-6);
  }
}
