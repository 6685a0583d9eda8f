// The shape of a Llama model, read from and written to a Hugging Face config.json. No torch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/recipe/fields.h"

namespace retrace::model {

struct LlamaConfig {
  int64_t vocab_size = 128256, hidden_size = 4096, intermediate_size = 14336, num_layers = 32, num_heads = 32,
          num_kv_heads = 8, head_dim = 128, max_position_embeddings = 8192;
  double rope_theta = 500000, rms_norm_eps = 1e-5;
  bool tie_embeddings = false;
  std::string rope_scaling = "none";  // "none" or "llama3"
  double rope_factor = 8, rope_low_freq_factor = 1, rope_high_freq_factor = 4;
  int64_t rope_original_max_position = 8192;
  int64_t bos_token_id = -1, pad_token_id = -1;  // -1 = none
  std::vector<int64_t> eos_token_ids;

  int64_t num_parameters() const;
};

// Error{input} for another architecture or an unsupported feature (attention bias, other rope scaling),
// naming it.
LlamaConfig parse_llama_config(const Json& json, const std::string& where);
LlamaConfig read_llama_config(const std::filesystem::path& folder);  // folder/config.json
Json to_hf_json(const LlamaConfig& config, const std::string& torch_dtype);

// One parameter tensor under its HF name.
struct ParameterSpec {
  std::string name;            // "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;  // as in HF
  bool decay = true;           // weight decay applies (false for norms, unless the recipe says otherwise)
  int64_t size() const;
};

// A unit is what is gathered, run and scattered together: unit 0 = embedding, 1..L = blocks, L+1 = final norm
// + head. With tied embeddings the tensor belongs to unit 0 only, and the head reads it there.
struct UnitSpec {
  std::string name;  // "embed", "block.0", ..., "head"
  std::vector<ParameterSpec> parameters;
  int64_t size() const;
};
std::vector<UnitSpec> unit_specs(const LlamaConfig& config);

}  // namespace retrace::model
