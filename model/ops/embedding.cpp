#include "model/ops/embedding.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/sort.h>

#include "model/device/library_table.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {

at::Tensor embedding_forward(const at::Tensor& table_vd, const at::Tensor& ids_t) {
  const int64_t* const ids = ids_t.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < ids_t.numel(); ++t)
    if (ids[t] < 0 || ids[t] >= table_vd.size(0))
      throw Error(Code::input,
                  fmt::format("token id {} is outside the vocabulary of {}", ids[t], table_vd.size(0)),
                  "use the tokenizer that belongs to the model", fmt::format("token {} of the sequence", t));
  return at::index_select(table_vd, 0, ids_t.to(table_vd.device()));
}

void embedding_backward(const at::Tensor& ids_t, const at::Tensor& dx_td, at::Tensor& gradient_vd) {
  const int64_t tokens = dx_td.size(0), width = dx_td.size(1);
  if (dx_td.is_cuda()) {
    const auto [sorted, order] =
        at::sort(ids_t.to(dx_td.device()), std::optional<bool>(true), /*dim=*/0, /*descending=*/false);
    by_dtype(dx_td, [&](auto tag) {
      using T = decltype(tag);
      row_kernels<T>().embedding_gradient(pointer<T>(dx_td), pointer<int64_t>(sorted),
                                          pointer<int64_t>(order), pointer<float>(gradient_vd), tokens,
                                          width);
    });
    return;
  }
  const int64_t* const ids = ids_t.const_data_ptr<int64_t>();
  by_dtype(dx_td, [&](auto tag) {
    using T = decltype(tag);
    constexpr int64_t kGrainColumns = 64;  // threads own columns, so rows need no atomics
    parallel_rows(width, kGrainColumns, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < tokens; ++t)
        kernels<T>().add_to(pointer<T>(dx_td) + t * width + begin,
                            pointer<float>(gradient_vd) + ids[t] * width + begin, end - begin);
    });
  });
}

}  // namespace retrace::model
