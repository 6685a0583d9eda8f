// Recipe section [model]: a HF folder, or a shape to start from random weights. No torch here.
#pragma once

#include "core/recipe/recipe.h"
#include "model/llama_config.h"

namespace retrace::model {

struct ModelConfig {
  static constexpr const char* kSection = "model";
  static constexpr const char* kAbout = "The Llama model to train";
  std::string path = "", rope_scaling = "none", dtype = "bfloat16", recompute = "none", rms_norm = "hf",
              offload = "none", fused = "auto", te_library = "";
  int64_t hidden_size = 256, intermediate_size = 704, num_layers = 4, num_heads = 4, num_kv_heads = 2,
          head_dim = 0, mlp_tile_tokens = 0;
  double rope_theta = 0, rms_norm_eps = 1e-5, init_std = 0.02;
  bool tie_embeddings = false, continuous_positions = false;
  static auto fields();
};

// The model's shape: the folder's config.json with rope_theta overridden, or the keys above with
// `vocab_size`.
LlamaConfig resolve_llama_config(const ModelConfig& config, int64_t vocab_size);

}  // namespace retrace::model

namespace retrace {
extern template model::ModelConfig Recipe::get<model::ModelConfig>() const;
extern template Section describe<model::ModelConfig>();
}  // namespace retrace
