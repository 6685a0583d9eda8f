#include "train/sharding/adamw.h"

#include <bit>
#include <cmath>

#include "train/vector_code.h"

namespace retrace::train {
namespace {

constexpr int kLanes = 16;

inline uint16_t bf16_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  return static_cast<uint16_t>(is_nan ? (bits >> 16) | 0x40u : rounded);
}

// The builtin: std::sqrt is not inlined into a clone, and a call keeps the loop scalar (so does errno:
// CMakeLists).
RETRACE_VECTOR void update(const AdamWStep& step, float keep, int64_t n, float* __restrict master,
                           float* __restrict exp_avg, float* __restrict exp_avg_sq,
                           const float* __restrict gradient) {
  const AdamWStep s = step;
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * s.gradient_scale;
    const float m = s.beta1 * exp_avg[i] + s.one_minus_beta1 * g;
    const float v = s.beta2 * exp_avg_sq[i] + s.one_minus_beta2 * g * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    master[i] = master[i] * keep - s.step_size * (m / (__builtin_sqrtf(v) / s.root_bias2 + s.eps));
  }
}

RETRACE_VECTOR void squares(const float* __restrict values, int64_t blocks, double* __restrict lanes) {
  for (int64_t b = 0; b < blocks; ++b) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const auto x = static_cast<double>(values[b * kLanes + lane]);
      lanes[lane] += x * x;
    }
  }
}

RETRACE_VECTOR void to_bf16(const float* __restrict values, int64_t n, uint16_t* __restrict bf16) {
  for (int64_t i = 0; i < n; ++i) bf16[i] = bf16_bits(values[i]);
}

}  // namespace

AdamWStep adamw_step(double lr, double beta1, double beta2, double eps, double weight_decay,
                     double gradient_scale, int64_t t) {
  AdamWStep step;
  step.beta1 = static_cast<float>(beta1);
  step.one_minus_beta1 = static_cast<float>(1.0 - beta1);
  step.beta2 = static_cast<float>(beta2);
  step.one_minus_beta2 = static_cast<float>(1.0 - beta2);
  step.step_size = static_cast<float>(lr / (1.0 - std::pow(beta1, static_cast<double>(t))));
  step.root_bias2 = static_cast<float>(std::sqrt(1.0 - std::pow(beta2, static_cast<double>(t))));
  step.eps = static_cast<float>(eps);
  step.gradient_scale = static_cast<float>(gradient_scale);
  step.decay = static_cast<float>(1.0 - lr * weight_decay);
  return step;
}

void adamw_update(const AdamWStep& step, float keep, int64_t n, float* master, float* exp_avg,
                  float* exp_avg_sq, const float* gradient, uint16_t* bf16) {
  constexpr int64_t kBlock = 4096;  // stays in the first-level cache for the refresh
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = n - begin < kBlock ? n - begin : kBlock;
    update(step, keep, count, master + begin, exp_avg + begin, exp_avg_sq + begin, gradient + begin);
    if (bf16) to_bf16(master + begin, count, bf16 + begin);
  }
}

double sum_of_squares(const float* values, int64_t n) {
  double lanes[kLanes] = {};
  const int64_t blocks = n / kLanes;
  squares(values, blocks, lanes);
  for (int64_t i = blocks * kLanes; i < n; ++i) {
    const auto x = static_cast<double>(values[i]);
    lanes[i - blocks * kLanes] += x * x;
  }
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0];
}

void round_to_bf16(const float* values, int64_t n, uint16_t* bf16) {
  to_bf16(values, n, bf16);
}

}  // namespace retrace::train
