// What a table of GPU kernels must compute, beside the CPU's kernels on the same numbers. `device` is where
// the table's pointers live: the CPU for emulated kernels.
#pragma once

#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>

#include "model/device/row_kernels.h"

namespace retrace::model::gpu_testing {

template <class T>
constexpr at::ScalarType kDtype = std::is_same_v<T, float> ? at::kFloat : at::kBFloat16;

template <class T>
T* data(const at::Tensor& t) {
  return static_cast<T*>(t.data_ptr());
}

// Both sides round the same fp32 value but for the order of sums: one unit in the last place of T for each
// rounding on the way.
template <class T>
void require_near(const at::Tensor& value, const at::Tensor& expected, const char* what, int roundings = 1) {
  const at::Tensor got = value.cpu().to(at::kDouble), want = expected.to(at::kDouble);
  const double relative = (std::is_same_v<T, float> ? 4e-6 : 7.9e-3) * roundings;
  const at::Tensor beyond = (got - want).abs() - want.abs() * relative;
  const int64_t worst = beyond.argmax().item<int64_t>();
  INFO(what << ": " << got.flatten()[worst].item<double>() << ", not "
            << want.flatten()[worst].item<double>());
  REQUIRE(beyond.max().item<double>() <= 4e-6);
}

template <class T>
struct Case {
  const RowKernels<T>& gpu;
  const KernelTable<T>& cpu;
  c10::Device device;
  int64_t rows, width;
  at::Tensor random(at::IntArrayRef shape) const { return at::randn(shape).to(kDtype<T>); }
  at::Tensor there(const at::Tensor& t) const { return t.to(device, t.scalar_type(), false, true); }

  void norm(bool hf, bool with_residual) const {
    const at::Tensor x = random({rows, width}), w = random({width}), dy = random({rows, width});
    const at::Tensor residual = with_residual ? random({rows, width}) : at::Tensor();
    at::Tensor y = at::empty_like(x), dx = at::empty_like(x), rstd = at::empty({rows}),
               dw = at::ones({width});
    const auto or_null = [](const at::Tensor& t) { return t.defined() ? data<T>(t) : nullptr; };
    cpu.rms_norm(data<T>(x), data<T>(w), data<T>(y), data<float>(rstd), rows, width, 1e-5f, hf);
    cpu.rms_norm_backward(data<T>(x), data<T>(w), data<float>(rstd), data<T>(dy), or_null(residual),
                          data<T>(dx), data<float>(dw), rows, width, hf);
    const at::Tensor x2 = there(x), w2 = there(w), dy2 = there(dy);
    const at::Tensor residual2 = with_residual ? there(residual) : at::Tensor();
    at::Tensor y2 = at::empty_like(x2), dx2 = at::empty_like(x2), rstd2 = there(at::empty({rows}));
    at::Tensor dw2 = there(at::ones({width})), partial = there(at::empty({gpu_norm_blocks(rows), width}));
    gpu.rms_norm(data<T>(x2), data<T>(w2), data<T>(y2), data<float>(rstd2), rows, width, 1e-5f, hf);
    require_near<T>(y2, y, "norm", hf ? 2 : 1);
    require_near<float>(rstd2, rstd, "rstd");
    gpu.rms_norm_backward(data<T>(x2), data<T>(w2), data<float>(rstd2), data<T>(dy2), or_null(residual2),
                          data<T>(dx2), data<float>(dw2), data<float>(partial), rows, width, hf);
    require_near<T>(dx2, dx, "norm backward");
    // Column sums of hundreds of rows in another order; in the hf flavour a factor may also have been rounded
    // to its other neighbour, a bf16 step of 2^-7 for values of 2 to 4, here and there.
    const double step = hf && !std::is_same_v<T, float> ? 0.05 : 0;
    REQUIRE(at::allclose(dw2.cpu(), dw, 1e-4, 1e-4 * std::sqrt(static_cast<double>(rows)) + step));
  }

  void swiglu() const {
    const at::Tensor gate_up = random({rows, 2 * width}) * 4, dact = random({rows, width});
    at::Tensor act = at::empty_like(dact);
    const at::Tensor gate_up2 = there(gate_up), dact2 = there(dact);
    at::Tensor act2 = at::empty_like(dact2);
    cpu.swiglu(data<T>(gate_up), data<T>(act), rows, width);
    gpu.swiglu(data<T>(gate_up2), data<T>(act2), rows, width);
    require_near<T>(act2, act, "swiglu");
    cpu.swiglu_backward(data<T>(gate_up), data<T>(dact), data<T>(gate_up), rows, width);
    gpu.swiglu_backward(data<T>(gate_up2), data<T>(dact2), data<T>(gate_up2), rows, width);  // in place
    require_near<T>(gate_up2, gate_up, "swiglu backward");
  }

  void cross_entropy(bool gradient) const {
    const at::Tensor logits = random({rows, width}) * 8, labels = at::randint(width, {rows}, at::kLong);
    const at::Tensor weights = at::rand({rows});
    at::Tensor nll = at::empty({rows});
    const at::Tensor logits2 = there(logits), labels2 = there(labels), weights2 = there(weights);
    at::Tensor nll2 = there(at::empty({rows}));
    cpu.cross_entropy(data<T>(logits), data<int64_t>(labels), data<float>(weights), data<float>(nll), rows,
                      width, gradient);
    gpu.cross_entropy(data<T>(logits2), data<int64_t>(labels2), data<float>(weights2), data<float>(nll2),
                      rows, width, gradient);
    REQUIRE(at::allclose(nll2.cpu(), nll, 1e-5, 1e-5));
    require_near<T>(logits2, logits, "cross-entropy");
  }

  void rope(int64_t head_dim) const {
    const HeadShape shape{4, 2, head_dim};
    const at::Tensor qkv = random({rows, shape.row()});
    const at::Tensor angle = at::rand({rows, head_dim / 2}) * 6, cos = angle.cos(), sin = angle.sin();
    const at::Tensor positions = at::randint(rows, {rows}, at::kInt);
    const at::Tensor cos2 = there(cos), sin2 = there(sin), positions2 = there(positions);
    for (float sign : {1.0f, -1.0f}) {
      const at::Tensor qkv2 = there(qkv);
      cpu.rope(data<T>(qkv), data<float>(cos), data<float>(sin), data<int32_t>(positions), sign, rows, shape);
      gpu.rope(data<T>(qkv2), data<float>(cos2), data<float>(sin2), data<int32_t>(positions2), sign, rows,
               shape);
      require_near<T>(qkv2, qkv, "rope");
    }
  }

  void embedding() const {
    const int64_t vocabulary = 7;
    const at::Tensor ids = at::randint(vocabulary - 1, {rows}, at::kLong), dx = random({rows, width});
    at::Tensor gradient = at::ones({vocabulary, width});
    const at::Tensor gradient2 = there(gradient), dx2 = there(dx);
    for (int64_t t = 0; t < rows; ++t)
      cpu.add_to(data<T>(dx) + t * width, data<float>(gradient) + data<int64_t>(ids)[t] * width, width);
    const auto [sorted, order] = at::sort(there(ids), std::optional<bool>(true), 0, false);
    gpu.embedding_gradient(data<T>(dx2), data<int64_t>(sorted), data<int64_t>(order), data<float>(gradient2),
                           rows, width);
    REQUIRE(at::equal(gradient2.cpu(), gradient));  // the same additions in the same order
  }

  void add_to() const {
    const at::Tensor x = random({rows * width}), sum = at::randn({rows * width});
    const at::Tensor x2 = there(x), sum2 = there(sum);
    cpu.add_to(data<T>(x), data<float>(sum), rows * width);
    gpu.add_to(data<T>(x2), data<float>(sum2), rows * width);
    REQUIRE(at::equal(sum2.cpu(), sum));
  }
};

// rows and width: sizes to try beside those that reach every path.
template <class T>
void check_kernels(const RowKernels<T>& gpu, c10::Device device, int64_t rows, int64_t width) {
  at::manual_seed(1);
  for (const int64_t w : {int64_t{1}, int64_t{8}, int64_t{20}, int64_t{64}, width}) {
    for (const int64_t r : {int64_t{1}, int64_t{3}, rows}) {
      INFO(kDtype<T> << " " << r << " x " << w);
      const Case<T> one{gpu, kernels<T>(), device, r, w};
      for (bool flag : {false, true}) {
        one.norm(flag, !flag);
        one.norm(flag, flag);
        one.cross_entropy(flag);
      }
      one.swiglu();
      one.rope(2 * w);
      one.embedding();
      one.add_to();
    }
  }
}

}  // namespace retrace::model::gpu_testing
