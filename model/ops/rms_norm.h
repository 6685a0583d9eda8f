// RMSNorm. Statistics and all sums are fp32. Flavours: `hf` rounds x * rstd to the compute dtype before the
// product with the weight (Hugging Face), otherwise only the product is rounded (ProLong). They agree in
// fp32.
#pragma once

#include <ATen/core/Tensor.h>

namespace retrace::model {

struct RmsNormResult {
  at::Tensor y_td, rstd_t;  // rstd fp32
};
RmsNormResult rms_norm_forward(const at::Tensor& x_td, const at::Tensor& weight_d, double eps, bool hf);

// Returns dx, plus `residual_td` if defined: that sum is rounded once. Adds to dweight_d (fp32).
at::Tensor rms_norm_backward(const at::Tensor& x_td, const at::Tensor& weight_d, const at::Tensor& rstd_t,
                             const at::Tensor& dy_td, const at::Tensor& residual_td, at::Tensor& dweight_d,
                             bool hf);

}  // namespace retrace::model
