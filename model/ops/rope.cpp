#include "model/ops/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>

#include "model/device/library_table.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {

at::Tensor rope_inverse_frequencies(const LlamaConfig& config) {
  const at::Tensor exponent =
      at::arange(0, config.head_dim, 2, at::kFloat) / static_cast<double>(config.head_dim);
  const at::Tensor inverse = at::reciprocal(at::pow(config.rope_theta, exponent));
  if (config.rope_scaling == "none") return inverse;
  if (config.rope_scaling != "llama3")
    fail(Code::input, "rope scaling '{}' is not supported", config.rope_scaling);
  // Llama 3.1: long waves are slowed down by `factor`, short ones kept, those between blended.
  const double original = static_cast<double>(config.rope_original_max_position);
  const double longest = original / config.rope_low_freq_factor;
  const double shortest = original / config.rope_high_freq_factor;
  const at::Tensor wave = at::reciprocal(inverse) * (2 * M_PI);
  const at::Tensor slow = inverse / config.rope_factor;
  const at::Tensor smooth = (at::reciprocal(wave) * original - config.rope_low_freq_factor) /
                            (config.rope_high_freq_factor - config.rope_low_freq_factor);
  const at::Tensor blended = (1.0 - smooth) * inverse / config.rope_factor + smooth * inverse;
  return at::where(wave > longest, slow, at::where(wave < shortest, inverse, blended));
}

RopeAngles rope_angles(const at::Tensor& inverse_frequencies, std::vector<int32_t> positions,
                       c10::Device device) {
  const int32_t last = positions.empty() ? 0 : *std::max_element(positions.begin(), positions.end());
  const at::Tensor position = at::arange(0, static_cast<int64_t>(last) + 1, at::kFloat);
  const at::Tensor angle = position.unsqueeze(1) * inverse_frequencies.unsqueeze(0);
  RopeAngles angles{at::cos(angle).to(device), at::sin(angle).to(device), {}};
  if (device.is_cuda() && te_use() == TeUse::all) angles.angle_pe = at::cat({angle, angle}, 1).to(device);
  set_positions(angles, std::move(positions));
  return angles;
}

std::vector<int32_t> position_runs(const std::vector<int32_t>& positions) {
  std::vector<int32_t> bounds = {0};
  for (size_t t = 1; t < positions.size(); ++t)
    if (positions[t] != positions[t - 1] + 1) bounds.push_back(static_cast<int32_t>(t));
  if (!positions.empty()) bounds.push_back(static_cast<int32_t>(positions.size()));
  return bounds;
}

void set_positions(RopeAngles& angles, std::vector<int32_t> positions) {
  angles.positions = std::move(positions);
  if (!angles.cos_pe.is_cuda()) return;
  const auto there = [&](std::vector<int32_t>& values) {
    return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kInt)
        .to(angles.cos_pe.device());
  };
  angles.gpu_positions = there(angles.positions);
  if (!angles.angle_pe.defined()) return;
  std::vector<int32_t> bounds = position_runs(angles.positions), first;
  angles.longest_run = 0;
  for (size_t r = 0; r + 1 < bounds.size(); ++r) {
    first.push_back(angles.positions[static_cast<size_t>(bounds[r])]);
    angles.longest_run = std::max<int64_t>(angles.longest_run, bounds[r + 1] - bounds[r]);
  }
  angles.run_starts = there(bounds);
  angles.run_first = there(first);
}

namespace {
// Its kernel writes queries and keys side by side; they go back into the packed rows.
void rotate_by_te(at::Tensor& qkv, const RopeAngles& angles, const HeadShape& shape, bool back) {
  const int64_t rows = qkv.size(0), heads = shape.heads + shape.kv_heads, width = heads * shape.head_dim;
  const at::Tensor rotated = at::empty({rows, width}, qkv.options());
  cuda_library().te->rope(
      pointer<Bf16>(qkv), shape.row(), pointer<Bf16>(rotated), pointer<float>(angles.angle_pe),
      angles.angle_pe.size(0), pointer<int32_t>(angles.run_first),
      {pointer<int32_t>(angles.run_starts), angles.run_first.size(0), angles.longest_run, rows}, heads,
      shape.head_dim, back);
  qkv.narrow(1, 0, width).copy_(rotated);
}

void rotate_on_gpu(at::Tensor& qkv, const RopeAngles& angles, const HeadShape& shape, float sign) {
  if (angles.angle_pe.defined() && qkv.scalar_type() == at::kBFloat16)
    return rotate_by_te(qkv, angles, shape, sign < 0);
  by_dtype(qkv, [&](auto tag) {
    using T = decltype(tag);
    row_kernels<T>().rope(pointer<T>(qkv), pointer<float>(angles.cos_pe), pointer<float>(angles.sin_pe),
                          pointer<int32_t>(angles.gpu_positions), sign, qkv.size(0), shape);
  });
}
}  // namespace

void rope_backward_on_gpu(at::Tensor& dqkv, const RopeAngles& angles, const HeadShape& shape) {
  rotate_on_gpu(dqkv, angles, shape, -1.0f);
}

void rope_forward(at::Tensor& qkv, const RopeAngles& angles, const HeadShape& shape) {
  ensure(static_cast<int64_t>(angles.positions.size()) == qkv.size(0), "every row has its position");
  if (qkv.is_cuda()) return rotate_on_gpu(qkv, angles, shape, 1.0f);
  by_dtype(qkv, [&](auto tag) {
    using T = decltype(tag);
    constexpr int64_t kGrainRows = 64;
    parallel_rows(qkv.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
      kernels<T>().rope(pointer<T>(qkv) + begin * shape.row(), pointer<float>(angles.cos_pe),
                        pointer<float>(angles.sin_pe), angles.positions.data() + begin, 1.0f, end - begin,
                        shape);
    });
  });
}

}  // namespace retrace::model
