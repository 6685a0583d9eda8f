// Whether and how far Transformer Engine is used on the GPU (model.fused). The library is opened at run time
// and never linked. Promises: "own" opens nothing; "te" takes it or says what is missing; "auto" takes
// attention alone, on GPUs of compute capability 9.0, and says why if it does not. The self-test of attention
// (check_attention) has the last word: under "auto" what fails it is left out again. No torch here.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace retrace::model {

inline constexpr const char* kTeEnvironment = "RETRACE_TE_LIBRARY";

// Where libtransformer_engine.so is looked for, in order: `named` alone if given, or else the path in the
// environment alone if there is one, or else beside the Python packages among which libtorch lies, and where
// the loader finds it.
std::vector<std::filesystem::path> te_places(const std::string& named);

struct TeChoice {
  bool used = false;
  std::string path, why;  // of the library that was opened; why nothing is used
};
// fused: "auto", "own" or "te"; library: model.te_library; dtype and device as in recipes (device is "cpu" or
// "cuda", chosen by now). Error{recipe} for "te" where it cannot be.
TeChoice choose_fused(const std::string& fused, const std::string& library, const std::string& dtype,
                      const std::string& device);

}  // namespace retrace::model
