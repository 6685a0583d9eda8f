// Where the parameters of a unit lie in its flat vector.
#include <ATen/ops/as_strided.h>

#include "core/error.h"
#include "model/llama/llama.h"

namespace retrace::model {

namespace {

constexpr int64_t kAlignElements = 32;

// "model.layers.0.self_attn.q_proj.weight" -> "q_proj"
std::string short_name(const std::string& name) {
  const std::string suffix = ".weight";
  if (name.size() <= suffix.size() || !name.ends_with(suffix))
    fail(Code::internal, "parameter name '{}' does not end with '{}'", name, suffix);
  const std::string stem = name.substr(0, name.size() - suffix.size());
  const size_t dot = stem.rfind('.');
  return dot == std::string::npos ? stem : stem.substr(dot + 1);
}

int64_t aligned(int64_t size) {
  return (size + kAlignElements - 1) / kAlignElements * kAlignElements;
}

}  // namespace

UnitLayout layout_of(const UnitSpec& spec) {
  UnitLayout layout;
  layout.spec = spec;
  for (const ParameterSpec& parameter : spec.parameters) {
    layout.offsets.push_back(layout.size);
    layout.size += aligned(parameter.size());
  }
  return layout;
}

Views views_of(const UnitLayout& layout, const at::Tensor& flat) {
  if (flat.dim() != 1 || flat.numel() < layout.size)
    fail(Code::internal, "unit '{}' needs a flat vector of {} elements, got {}", layout.spec.name,
         layout.size, flat.numel());
  Views views;
  for (size_t i = 0; i < layout.offsets.size(); ++i) {
    const ParameterSpec& parameter = layout.spec.parameters[i];
    std::vector<int64_t> strides(parameter.shape.size(), 1);
    for (size_t d = parameter.shape.size(); d-- > 1;) strides[d - 1] = strides[d] * parameter.shape[d];
    const int64_t offset = flat.storage_offset() + layout.offsets[i];
    views.emplace(short_name(parameter.name), flat.as_strided(parameter.shape, strides, offset));
  }
  return views;
}

}  // namespace retrace::model
