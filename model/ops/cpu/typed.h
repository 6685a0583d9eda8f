// From a tensor's dtype to the T of a kernel table: float or bf16, contiguous, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <type_traits>

#include "core/error.h"
#include "model/ops/cpu/kernels.h"

namespace retrace::model {

// Null for an undefined tensor.
template <class T>
T* pointer(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

// body(T{}) with T = float or Bf16.
template <class Body>
void by_dtype(const at::Tensor& tensor, const Body& body) {
  if (tensor.scalar_type() == at::kFloat)
    body(float{});
  else if (tensor.scalar_type() == at::kBFloat16)
    body(Bf16{});
  else
    fail(Code::internal, "compute dtype {} is neither float32 nor bfloat16",
         c10::toString(tensor.scalar_type()));
}

}  // namespace retrace::model
