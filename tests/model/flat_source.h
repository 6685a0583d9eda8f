// The weights of a small model made by hand, as a source of weights.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "model/files/weights.h"
#include "tests/model/llama_testing.h"

namespace retrace::model::testing {

class FlatSource : public WeightSource {
 public:
  explicit FlatSource(const FlatModel& model) : tensors_(model.named(model.weights)) {}
  void read(const ParameterSpec& spec, int64_t begin, int64_t end, float* out) const override {
    const at::Tensor flat = tensors_.at(spec.name).to(at::kFloat).flatten();
    std::copy_n(flat.data_ptr<float>() + begin, end - begin, out);
    elements_read += end - begin;
  }
  std::string fingerprint() const override { return "flat"; }
  mutable int64_t elements_read = 0;

 private:
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace retrace::model::testing
