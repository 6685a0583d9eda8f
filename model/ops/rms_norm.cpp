#include "model/ops/rms_norm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <vector>

#include "model/device/library_table.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {

namespace {
constexpr int64_t kGrainRows = 64;
// Rows whose weight gradients are summed together; fixed, so that the sum does not depend on the thread
// count.
constexpr int64_t kBlockRows = kNormBlockRows;

at::Tensor backward_on_gpu(const at::Tensor& x_td, const at::Tensor& weight_d, const at::Tensor& rstd_t,
                           const at::Tensor& dy_td, const at::Tensor& residual_td, at::Tensor& dweight_d,
                           bool hf) {
  const int64_t rows = x_td.size(0), width = x_td.size(1);
  at::Tensor dx_td = at::empty_like(x_td);
  const at::Tensor partial = at::empty({gpu_norm_blocks(rows), width}, dweight_d.options());
  by_dtype(x_td, [&](auto tag) {
    using T = decltype(tag);
    row_kernels<T>().rms_norm_backward(pointer<T>(x_td), pointer<T>(weight_d), pointer<float>(rstd_t),
                                       pointer<T>(dy_td), pointer<T>(residual_td), pointer<T>(dx_td),
                                       pointer<float>(dweight_d), pointer<float>(partial), rows, width, hf);
  });
  return dx_td;
}
}  // namespace

RmsNormResult rms_norm_forward(const at::Tensor& x_td, const at::Tensor& weight_d, double eps, bool hf) {
  const int64_t rows = x_td.size(0), width = x_td.size(1);
  RmsNormResult result{at::empty_like(x_td), at::empty({rows}, x_td.options().dtype(at::kFloat))};
  by_dtype(x_td, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, Bf16>)
      if (x_td.is_cuda() && !hf && te_use() == TeUse::all)  // its rounding is this flavour's
        return cuda_library().te->rms_norm(pointer<T>(x_td), pointer<T>(weight_d), pointer<T>(result.y_td),
                                           pointer<float>(result.rstd_t), rows, width,
                                           static_cast<float>(eps));
    if (x_td.is_cuda())
      return row_kernels<T>().rms_norm(pointer<T>(x_td), pointer<T>(weight_d), pointer<T>(result.y_td),
                                       pointer<float>(result.rstd_t), rows, width, static_cast<float>(eps),
                                       hf);
    parallel_rows(rows, kGrainRows, [&](int64_t begin, int64_t end) {
      kernels<T>().rms_norm(pointer<T>(x_td) + begin * width, pointer<T>(weight_d),
                            pointer<T>(result.y_td) + begin * width, pointer<float>(result.rstd_t) + begin,
                            end - begin, width, static_cast<float>(eps), hf);
    });
  });
  return result;
}

at::Tensor rms_norm_backward(const at::Tensor& x_td, const at::Tensor& weight_d, const at::Tensor& rstd_t,
                             const at::Tensor& dy_td, const at::Tensor& residual_td, at::Tensor& dweight_d,
                             bool hf) {
  if (x_td.is_cuda()) return backward_on_gpu(x_td, weight_d, rstd_t, dy_td, residual_td, dweight_d, hf);
  const int64_t rows = x_td.size(0), width = x_td.size(1);
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  at::Tensor dx_td = at::empty_like(x_td);
  std::vector<float> partial(static_cast<size_t>(blocks * width), 0.0f);
  by_dtype(x_td, [&](auto tag) {
    using T = decltype(tag);
    parallel_rows(blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t block = first; block < last; ++block) {
        const int64_t row = block * kBlockRows, at = row * width;
        const T* const residual = residual_td.defined() ? pointer<T>(residual_td) + at : nullptr;
        kernels<T>().rms_norm_backward(pointer<T>(x_td) + at, pointer<T>(weight_d),
                                       pointer<float>(rstd_t) + row, pointer<T>(dy_td) + at, residual,
                                       pointer<T>(dx_td) + at, partial.data() + block * width,
                                       std::min(kBlockRows, rows - row), width, hf);
      }
    });
  });
  for (int64_t block = 1; block < blocks; ++block)
    kernels<float>().add_to(partial.data() + block * width, partial.data(), width);
  if (blocks > 0) kernels<float>().add_to(partial.data(), pointer<float>(dweight_d), width);
  return dx_td;
}

}  // namespace retrace::model
