#include "model/ops/cross_entropy.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/neg.h>

#include <algorithm>

#include "model/device/library_table.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/typed.h"
#include "model/ops/linear.h"

namespace retrace::model {

void chunked_cross_entropy(const at::Tensor& n_rd, const at::Tensor& weight_vd, const at::Tensor& labels_r,
                           const at::Tensor& weights_r, int64_t chunk, at::Tensor& nll_r, at::Tensor& dn_rd,
                           at::Tensor& dweight_vd) {
  const int64_t rows = n_rd.size(0), vocabulary = weight_vd.size(0);
  const bool gradient = dn_rd.defined();
  if (chunk < 1) fail(Code::internal, "a cross-entropy chunk has {} tokens", chunk);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t label = labels_r.const_data_ptr<int64_t>()[r];
    if (label < 0 || label >= vocabulary)
      fail(Code::input, "label {} is outside the vocabulary of {}", label, vocabulary);
  }
  const at::Tensor label_ids = labels_r.to(n_rd.device());
  const at::Tensor loss_weights = gradient ? weights_r.to(n_rd.device()) : weights_r;
  const at::Tensor buffer = at::empty({std::min(chunk, rows), vocabulary}, n_rd.options());
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t count = std::min(chunk, rows - first);
    const at::Tensor n_cd = n_rd.narrow(0, first, count);
    at::Tensor logits_cv = buffer.narrow(0, 0, count);
    at::mm_out(logits_cv, n_cd, weight_vd.t());
    by_dtype(logits_cv, [&](auto tag) {
      using T = decltype(tag);
      if (logits_cv.is_cuda())
        return row_kernels<T>().cross_entropy(pointer<T>(logits_cv), pointer<int64_t>(label_ids) + first,
                                              gradient ? pointer<float>(loss_weights) + first : nullptr,
                                              pointer<float>(nll_r) + first, count, vocabulary, gradient);
      parallel_rows(count, 1, [&](int64_t begin, int64_t end) {
        kernels<T>().cross_entropy(pointer<T>(logits_cv) + begin * vocabulary,
                                   pointer<int64_t>(label_ids) + first + begin,
                                   gradient ? pointer<float>(loss_weights) + first + begin : nullptr,
                                   pointer<float>(nll_r) + first + begin, end - begin, vocabulary, gradient);
      });
    });
    if (!gradient) continue;
    linear_backward_weight(logits_cv, n_cd, {dweight_vd});
    at::Tensor dn_cd = dn_rd.narrow(0, first, count);
    at::mm_out(dn_cd, logits_cv, weight_vd);
  }
}

at::Tensor chunked_logprobs(const at::Tensor& n_rd, const at::Tensor& weight_vd, const at::Tensor& labels_r,
                            int64_t chunk) {
  at::Tensor nll_r = at::empty({n_rd.size(0)}, n_rd.options().dtype(at::kFloat)), none;
  chunked_cross_entropy(n_rd, weight_vd, labels_r, {}, chunk, nll_r, none, none);
  return at::neg(nll_r);
}

}  // namespace retrace::model
