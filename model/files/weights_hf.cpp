// Weights of a HF folder, read by range from memory-mapped safetensors.
#include <mutex>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "model/files/safetensors.h"
#include "model/files/weights.h"

namespace retrace::model {

namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += fmt::format("{}{}", i > 0 ? ", " : "", shape[i]);
  return text + "]";
}

class HfWeights : public WeightSource {
 public:
  HfWeights(const fs::path& folder, const LlamaConfig& config) : where_(folder.string()), folder_(folder) {
    std::map<std::string, bool> wanted;
    for (const UnitSpec& unit : unit_specs(config))
      for (const ParameterSpec& spec : unit.parameters) {
        find(spec);
        wanted[spec.name] = true;
      }
    for (const auto& [name, entry] : folder_.tensors()) {
      const bool derived =
          name.ends_with(".rotary_emb.inv_freq") || (config.tie_embeddings && name == "lm_head.weight");
      if (wanted.count(name) == 0 && !derived)
        throw Error(Code::input, fmt::format("tensor '{}' has no place in this model", name),
                    "does config.json belong to these weights?", where_);
    }
  }

  void read(const ParameterSpec& spec, int64_t begin, int64_t end, float* out) const override {
    try {
      read_as_float(find(spec), begin, end, out, spec.name);
    } catch (Error& error) {
      throw error.in(where_);
    }
  }

  // Over names, shapes and stored bytes: the same for one file and for shards.
  std::string fingerprint() const override {
    std::call_once(hashed_, [this] {
      Sha256 hash;
      for (const auto& [name, tensor] : folder_.tensors())
        hash.add(fmt::format("{} {} {} {:016x}\n", name, tensor->dtype, shape_text(tensor->shape),
                             xxh3_64(tensor->bytes)));
      fingerprint_ = hash.hex();
    });
    return fingerprint_;
  }

 private:
  const TensorEntry& find(const ParameterSpec& spec) const {
    const auto found = folder_.tensors().find(spec.name);
    if (found == folder_.tensors().end())
      throw Error(Code::input, fmt::format("tensor '{}' is missing", spec.name), "", where_);
    if (found->second->shape != spec.shape)
      throw Error(Code::input,
                  fmt::format("tensor '{}' has shape {}, config.json asks for {}", spec.name,
                              shape_text(found->second->shape), shape_text(spec.shape)),
                  "", where_);
    if (const std::string& dtype = found->second->dtype; dtype != "F32" && dtype != "F16" && dtype != "BF16")
      throw Error(Code::input, fmt::format("tensor '{}' has dtype {}", spec.name, dtype),
                  "weights of dtype F32, F16 and BF16 are read", where_);
    return *found->second;
  }

  std::string where_;
  SafetensorsFolder folder_;
  mutable std::once_flag hashed_;
  mutable std::string fingerprint_;
};

}  // namespace

std::unique_ptr<WeightSource> open_hf_weights(const fs::path& folder, const LlamaConfig& config) {
  return std::make_unique<HfWeights>(folder, config);
}

}  // namespace retrace::model
