#include "model/ops/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/as_strided.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <type_traits>

#include "model/ops/cpu/linear_bf16.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {

namespace {

bool adjacent(const std::vector<at::Tensor>& parts) {
  for (size_t i = 1; i < parts.size(); ++i) {
    const at::Tensor& before = parts[i - 1];
    if (!before.is_alias_of(parts[i]) ||
        before.storage_offset() + before.numel() != parts[i].storage_offset())
      return false;
  }
  return true;
}

at::Tensor as_one(const std::vector<at::Tensor>& parts) {
  int64_t rows = 0;
  for (const at::Tensor& part : parts) rows += part.size(0);
  const int64_t width = parts[0].size(1);
  return parts[0].as_strided({rows, width}, {width, 1});
}

template <class T>
auto matrix_rows_kernel([[maybe_unused]] int64_t width) {
#if defined(__x86_64__)
  if constexpr (std::is_same_v<T, Bf16>)
    if (has_bf16_rows(width)) return &avx512bf16::matrix_rows;
#endif
  return kernels<T>().matrix_rows;
}

// Few rows: the library's product would pack the whole weight first.
at::Tensor few_rows(const at::Tensor& x_ti, const at::Tensor& weight_oi, const at::Tensor& residual_to) {
  const int64_t count = x_ti.size(0), out = weight_oi.size(0), in = weight_oi.size(1);
  at::Tensor y = at::empty({count, out}, x_ti.options());
  by_dtype(x_ti, [&](auto tag) {
    using T = decltype(tag);
    constexpr int64_t kGrainElements = 1 << 15;
    parallel_rows(out, kGrainElements / in + 1, [&](int64_t begin, int64_t end) {
      const T* const base = residual_to.defined() ? pointer<T>(residual_to) + begin : nullptr;
      matrix_rows_kernel<T>(in)(pointer<T>(weight_oi) + begin * in, pointer<T>(x_ti), base,
                                pointer<T>(y) + begin, end - begin, in, count, out);
    });
  });
  return y;
}

bool is_few_rows(const at::Tensor& x_ti, const at::Tensor& weight_oi) {
  return x_ti.is_cpu() && x_ti.size(0) <= kFewRows && x_ti.is_contiguous() && weight_oi.is_contiguous();
}

}  // namespace

at::Tensor stack_rows(const std::vector<at::Tensor>& weights) {
  return adjacent(weights) ? as_one(weights) : at::cat(weights, 0);
}

at::Tensor linear_forward(const at::Tensor& x_ti, const at::Tensor& weight_oi) {
  if (is_few_rows(x_ti, weight_oi)) return few_rows(x_ti, weight_oi, {});
  return at::mm(x_ti, weight_oi.t());
}

at::Tensor linear_residual_forward(const at::Tensor& x_ti, const at::Tensor& weight_oi,
                                   const at::Tensor& residual_to) {
  if (is_few_rows(x_ti, weight_oi) && residual_to.is_contiguous())
    return few_rows(x_ti, weight_oi, residual_to);
  return at::addmm(residual_to, x_ti, weight_oi.t());
}

void linear_backward_weight(const at::Tensor& dy_to, const at::Tensor& x_ti,
                            const std::vector<at::Tensor>& gradients) {
  if (dy_to.scalar_type() == at::kFloat && adjacent(gradients)) {
    at::Tensor all = as_one(gradients);
    at::addmm_out(all, all, dy_to.t(), x_ti);
    return;
  }
  if (dy_to.is_cuda()) {  // bf16 in, fp32 sums out, in place: the product is never rounded to bf16
    const bool one = adjacent(gradients);
    int64_t column = 0;
    for (at::Tensor into : one ? std::vector<at::Tensor>{as_one(gradients)} : gradients) {
      at::addmm_out(into, into, dy_to.narrow(1, column, into.size(0)).t(), x_ti, at::kFloat);
      column += into.size(0);
    }
    return;
  }
  const at::Tensor product = at::mm(dy_to.t(), x_ti);
  int64_t row = 0;
  for (const at::Tensor& gradient : gradients) {
    by_dtype(product, [&](auto tag) {
      using T = decltype(tag);
      const T* const from = pointer<T>(product) + row * product.size(1);
      constexpr int64_t kGrainElements = 1 << 15;
      parallel_rows(gradient.numel(), kGrainElements, [&](int64_t begin, int64_t end) {
        kernels<T>().add_to(from + begin, pointer<float>(gradient) + begin, end - begin);
      });
    });
    row += gradient.size(0);
  }
}

}  // namespace retrace::model
