// What this machine's backends say of themselves, for those who may not see torch.
#pragma once

#include <string>

#include "model/llama_config.h"

namespace retrace::model {

struct SelfTest {
  std::string backend;  // of attention: cpu, cpu-bf16, flash, te, math
  double error = 0;     // relative, from fp32
  std::string kernels;  // instruction set of the row kernels on the CPU
};
// Runs the attention that a model of this shape would use on `device` ("cpu" or "cuda"); dtype as in recipes.
// Error{internal} if no backend passes.
SelfTest self_test(const LlamaConfig& config, const std::string& dtype, const std::string& device);

}  // namespace retrace::model
