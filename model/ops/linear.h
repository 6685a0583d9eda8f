// Matrix products with weights [out, in] as in HF. Products accumulate in fp32 inside the library and are
// rounded to the compute dtype once. Weights that lie side by side in their unit's flat vector are multiplied
// as one.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace retrace::model {

// The rows of several weights as one tensor: a view if they are adjacent in memory, else a copy.
at::Tensor stack_rows(const std::vector<at::Tensor>& weights);

// Up to so many rows are multiplied by our own kernel: a row's bits then do not depend on the other rows, so
// that texts may be decoded together or alone.
inline constexpr int64_t kFewRows = 32;

at::Tensor linear_forward(const at::Tensor& x_ti, const at::Tensor& weight_oi);
// residual + x W^T, rounded once.
at::Tensor linear_residual_forward(const at::Tensor& x_ti, const at::Tensor& weight_oi,
                                   const at::Tensor& residual_to);
// Adds dy^T x to the fp32 gradients, whose rows together are dy's columns. bf16 on the
// CPU: one bf16 product, rounded once, then added in fp32; on a GPU it is added unrounded.
void linear_backward_weight(const at::Tensor& dy_to, const at::Tensor& x_ti,
                            const std::vector<at::Tensor>& gradients);

}  // namespace retrace::model
