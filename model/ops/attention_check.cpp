// The start-up test of the attention backend in use.
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "core/random.h"
#include "core/text.h"
#include "model/device/te_functions.h"
#include "model/ops/attention.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {
namespace {

constexpr double kBound = 0.03;  // bf16 has eight bits: errors of a sound kernel stay below 0.01

at::Tensor random_rows(int64_t rows, int64_t columns, uint64_t stream) {
  at::Tensor values = at::zeros({rows, columns});
  Random random(5, stream);
  for (int64_t i = 0; i < values.numel(); ++i)
    pointer<float>(values)[i] = static_cast<float>(random.uniform() * 2 - 1);
  return values;
}

double distance(const at::Tensor& value, const at::Tensor& expected) {
  const auto norm = [](const at::Tensor& t) { return at::linalg_vector_norm(t, 2).item<double>(); };
  const double relative = norm(at::sub(value.to(at::kCPU, at::kFloat), expected)) / norm(expected);
  return std::isfinite(relative) ? relative : INFINITY;
}

double error_of(at::ScalarType dtype, const HeadShape& shape, c10::Device device) {
  const std::vector<int64_t> starts = {0, 1, 65, 130, 203};  // across the edges of a kernel's blocks
  const int64_t tokens = starts.back();
  const std::vector<int32_t> nowhere(static_cast<size_t>(tokens), 0);  // no rotation
  const RopeAngles still = rope_angles(at::zeros({shape.head_dim / 2}), nowhere);
  const RopeAngles angles = rope_angles(at::zeros({shape.head_dim / 2}), nowhere, device);
  const at::Tensor qkv = random_rows(tokens, shape.row(), 1).to(dtype),
                   dout = random_rows(tokens, shape.heads * shape.head_dim, 2).to(dtype);
  const at::Tensor there = qkv.to(device);
  const auto ours = attention_forward(there, starts, shape);
  const at::Tensor gradient = attention_backward(dout.to(device), there, ours, starts, shape, angles);
  const at::Tensor wide = qkv.to(at::kFloat);
  const auto reference = attention_forward(wide, starts, shape);
  const at::Tensor expected = attention_backward(dout.to(at::kFloat), wide, reference, starts, shape, still);
  return std::max({distance(ours.out, reference.out), distance(ours.lse_th, reference.lse_th),
                   distance(gradient, expected)});
}

}  // namespace

AttentionCheck check_attention(at::ScalarType dtype, const HeadShape& shape, c10::Device device) {
  const std::string backend = attention_backend(dtype, shape.head_dim, device);
  double error = INFINITY;
  std::string problem;
  try {
    error = error_of(dtype, shape, device);
    problem = fmt::format("is {:.1e} from fp32", error);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& refused) {
    problem = fmt::format("fails: {}", first_line(refused.what()));
  }
  if (error <= kBound) return {attention_backend(dtype, shape.head_dim, device), error};
  const bool other = backend == "cpu-bf16" || (backend == "te" && te_use() == TeUse::attention);
  if (!other) fail(Code::internal, "attention backend '{}' {} in its self-test", backend, problem);
  warn("attention backend '{}' {} in its self-test and is not used", backend, problem);
  if (backend == "te")
    set_te_use(TeUse::nothing);
  else
    allow_bf16_attention(false);
  return check_attention(dtype, shape, device);
}

}  // namespace retrace::model
