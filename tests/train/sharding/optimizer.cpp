// The optimizer's arithmetic against ATen's, the schedule against its formula.
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "train/sharding/adamw.h"
#include "train/step/schedule.h"

using namespace retrace::train;
using Catch::Approx;

TEST_CASE("AdamW agrees with ATen's fused AdamW", "[unit]") {
  constexpr int64_t kN = 10'007;
  constexpr double kLr = 3e-3, kBeta1 = 0.9, kBeta2 = 0.95, kDecay = 0.1, kEps = 1e-8;
  std::vector<at::Tensor> p = {at::randn({kN})}, m = {at::zeros({kN})}, v = {at::zeros({kN})};
  at::Tensor mine = p[0].clone(), mine_m = at::zeros({kN}), mine_v = at::zeros({kN}),
             bf16 = at::empty({kN}, at::kBFloat16);
  for (int64_t t = 1; t <= 20; ++t) {
    std::vector<at::Tensor> g = {at::randn({kN}).mul(0.1)}, none,
                            steps = {at::full({}, static_cast<double>(t))};
    at::_fused_adamw_(p, g, m, v, none, steps, kLr, kBeta1, kBeta2, kDecay, kEps, false, false);
    const AdamWStep step = adamw_step(kLr, kBeta1, kBeta2, kEps, kDecay, 1.0, t);
    adamw_update(step, step.decay, kN, mine.mutable_data_ptr<float>(), mine_m.mutable_data_ptr<float>(),
                 mine_v.mutable_data_ptr<float>(), g[0].const_data_ptr<float>(),
                 static_cast<uint16_t*>(bf16.mutable_data_ptr()));
  }
  REQUIRE(at::allclose(mine, p[0], 1e-5, 1e-6));
  REQUIRE(at::allclose(mine_m, m[0], 1e-5, 1e-7));
  REQUIRE(at::allclose(mine_v, v[0], 1e-5, 1e-9));
  REQUIRE(at::equal(bf16, mine.to(at::kBFloat16)));
}

TEST_CASE("an AdamW update is the same however its range is cut", "[unit]") {
  constexpr int64_t kN = 4099;
  const at::Tensor g = at::randn({kN}), start = at::randn({kN});
  const AdamWStep step = adamw_step(1e-2, 0.9, 0.999, 1e-8, 0.1, 0.37, 3);
  const auto run = [&](std::vector<int64_t> cuts) {
    at::Tensor p = start.clone(), m = at::full({kN}, 0.01), v = at::full({kN}, 0.02);
    cuts.push_back(kN);
    int64_t from = 0;
    for (int64_t to : cuts) {
      adamw_update(step, step.no_decay, to - from, p.mutable_data_ptr<float>() + from,
                   m.mutable_data_ptr<float>() + from, v.mutable_data_ptr<float>() + from,
                   g.const_data_ptr<float>() + from, nullptr);
      from = to;
    }
    return p;
  };
  REQUIRE(at::equal(run({}), run({1, 17, 2048, 4098})));
}

TEST_CASE("rounding to bf16 keeps NaN and infinity", "[unit]") {
  const float values[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1.00390625f, 3.4e38f};
  uint16_t bits[7];
  round_to_bf16(values, 7, bits);
  const at::Tensor expected = at::tensor(std::vector<float>(values, values + 7)).to(at::kBFloat16);
  for (int i = 1; i < 7; ++i) REQUIRE(bits[i] == static_cast<const uint16_t*>(expected.const_data_ptr())[i]);
  REQUIRE((bits[0] & 0x7F80u) == 0x7F80u);
  REQUIRE((bits[0] & 0x7Fu) != 0);
}

TEST_CASE("sums of squares are fp64 sums", "[unit]") {
  const at::Tensor x = at::randn({1001});
  const double expected = x.to(at::kDouble).square().sum().item<double>();
  REQUIRE(sum_of_squares(x.const_data_ptr<float>(), 1001) == Approx(expected).epsilon(1e-13));
  REQUIRE(sum_of_squares(x.const_data_ptr<float>(), 0) == 0);
}

TEST_CASE("the learning rate warms up from zero and ends at its floor", "[unit]") {
  OptimConfig config;
  config.lr = 2e-3;
  config.warmup_fraction = 0.1;
  config.min_lr_fraction = 0.1;
  REQUIRE(learning_rate(config, 0, 100) == 0);
  REQUIRE(learning_rate(config, 5, 100) == Approx(1e-3));
  REQUIRE(learning_rate(config, 10, 100) == Approx(2e-3));
  REQUIRE(learning_rate(config, 55, 100) == Approx(2e-3 * (0.1 + 0.9 * 0.5)));
  REQUIRE(learning_rate(config, 100, 100) == Approx(2e-4));
  config.warmup_fraction = 0;
  REQUIRE(learning_rate(config, 0, 1) == Approx(2e-3));
}
