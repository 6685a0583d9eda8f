#include "model/ops/swiglu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "model/device/library_table.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {

namespace {
constexpr int64_t kGrainRows = 32;
}

at::Tensor swiglu_forward(const at::Tensor& gate_up) {
  const int64_t rows = gate_up.size(0), width = gate_up.size(1) / 2;
  at::Tensor act = at::empty({rows, width}, gate_up.options());
  by_dtype(gate_up, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, Bf16>)
      if (gate_up.is_cuda() && te_use() == TeUse::all)
        return cuda_library().te->swiglu(pointer<T>(gate_up), pointer<T>(act), rows, width);
    if (gate_up.is_cuda()) return row_kernels<T>().swiglu(pointer<T>(gate_up), pointer<T>(act), rows, width);
    parallel_rows(rows, kGrainRows, [&](int64_t begin, int64_t end) {
      kernels<T>().swiglu(pointer<T>(gate_up) + begin * 2 * width, pointer<T>(act) + begin * width,
                          end - begin, width);
    });
  });
  return act;
}

at::Tensor swiglu_backward(at::Tensor gate_up, const at::Tensor& dact_tf) {
  const int64_t rows = gate_up.size(0), width = gate_up.size(1) / 2;
  if (gate_up.is_cuda() && gate_up.scalar_type() == at::kBFloat16 && te_use() == TeUse::all) {
    at::Tensor gradient = at::empty_like(gate_up);  // it does not say that it may write where it reads
    cuda_library().te->swiglu_backward(pointer<Bf16>(gate_up), pointer<Bf16>(dact_tf),
                                       pointer<Bf16>(gradient), rows, width);
    return gradient;
  }
  by_dtype(gate_up, [&](auto tag) {
    using T = decltype(tag);
    if (gate_up.is_cuda())
      return row_kernels<T>().swiglu_backward(pointer<T>(gate_up), pointer<T>(dact_tf), pointer<T>(gate_up),
                                              rows, width);
    parallel_rows(rows, kGrainRows, [&](int64_t begin, int64_t end) {
      T* const at = pointer<T>(gate_up) + begin * 2 * width;
      kernels<T>().swiglu_backward(at, pointer<T>(dact_tf) + begin * width, at, end - begin, width);
    });
  });
  return gate_up;
}

}  // namespace retrace::model
