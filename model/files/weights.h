// A source of weights by HF name: a folder of safetensors, or the trainer's shards. No torch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/llama_config.h"

namespace retrace::model {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Writes elements [begin, end) of the named tensor, converted to fp32, to `out`. Error{input} if it is
  // absent or has another shape than `spec`.
  virtual void read(const ParameterSpec& spec, int64_t begin, int64_t end, float* out) const = 0;
  virtual std::string fingerprint() const = 0;
};

// Sharded or single safetensors of a HF folder, memory-mapped, all rules of the format enforced.
std::unique_ptr<WeightSource> open_hf_weights(const std::filesystem::path& folder, const LlamaConfig& config);
// Initial weights: normal(0, std) by counter-based randomness per (seed, name, element), norms 1.
std::unique_ptr<WeightSource> random_weights(const LlamaConfig& config, uint64_t seed, double std);

struct HfFolderOptions {
  std::string dtype = "bfloat16";  // float32 or bfloat16
  uint64_t shard_bytes = uint64_t{5} << 30;
  std::filesystem::path tokenizer;  // folder or file; its files are copied along; "" = none
  std::vector<std::pair<std::string, std::string>> files;  // further ones to put there: name, bytes
};
// Writes config.json, generation_config.json, safetensors (+ index when sharded) and the tokenizer's files.
// The folder appears complete or not at all. An earlier export under the same name is replaced; Error{input}
// if the folder holds anything that is no part of an export.
void write_hf_folder(const std::filesystem::path& folder, const LlamaConfig& config,
                     const WeightSource& weights, const HfFolderOptions& options);

}  // namespace retrace::model
