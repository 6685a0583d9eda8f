// act = silu(gate) * up on packed rows gate | up. fp32 inside, rounded once.
#pragma once

#include <ATen/core/Tensor.h>

namespace retrace::model {

at::Tensor swiglu_forward(const at::Tensor& gate_up);
// Returns d(gate | up), in the storage of `gate_up` but where Transformer Engine makes it (model.fused =
// "te").
at::Tensor swiglu_backward(at::Tensor gate_up, const at::Tensor& dact_tf);

}  // namespace retrace::model
