// Recipe section [model]: a HF folder, or a shape to start from random weights. No torch here.
#pragma once

#include "core/fields.h"
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
  static auto fields() {
    using M = ModelConfig;
    return std::tuple{
        field("path", &M::path, "HF folder to start from; empty = random weights of the shape below"),
        field("hidden_size", &M::hidden_size, "Width").at_least(8),
        field("intermediate_size", &M::intermediate_size, "Feed-forward width").at_least(8),
        field("num_layers", &M::num_layers, "Blocks").range(1, 1024),
        field("num_heads", &M::num_heads, "Query heads").at_least(1),
        field("num_kv_heads", &M::num_kv_heads, "Key and value heads; must divide num_heads").at_least(1),
        field("head_dim", &M::head_dim, "0 = hidden_size / num_heads").at_least(0),
        field("rope_theta", &M::rope_theta, "RoPE base; 0 = the folder's own, or 500000").at_least(0),
        field("rope_scaling", &M::rope_scaling, "Only for random weights").choices({"none", "llama3"}),
        field("rms_norm_eps", &M::rms_norm_eps, "RMSNorm epsilon of a random model").at_least(0),
        field("tie_embeddings", &M::tie_embeddings, "One tensor for embedding and head of a random model"),
        field("init_std", &M::init_std, "Standard deviation of random weights").at_least(0),
        field("dtype", &M::dtype, "Compute dtype; masters and moments are always float32")
            .choices({"bfloat16", "float32"}),
        field("recompute", &M::recompute, "What a block recomputes in its backward")
            .choices({"none", "keep_mlp", "keep_qkv", "keep_attn", "full"}),
        field("mlp_tile_tokens", &M::mlp_tile_tokens,
              "The feed-forward runs over so many tokens at a time, so that its activations take one tile; "
              "0 = all")
            .unit("tokens")
            .at_least(0),
        field("offload", &M::offload,
              "What waits in host memory between forward and backward: nothing, or the blocks' inputs")
            .choices({"none", "block_inputs"}),
        field("fused", &M::fused,
              "Kernels on a GPU: own (and FlashAttention), te (attention, RMSNorm, RoPE and SwiGLU of "
              "Transformer Engine), auto (its attention where it is installed, on compute capability 9.0)")
            .choices({"auto", "own", "te"}),
        field("te_library", &M::te_library,
              "Path of libtransformer_engine.so; empty = RETRACE_TE_LIBRARY, or beside torch's package"),
        field("rms_norm", &M::rms_norm, "Where RMSNorm rounds").choices({"hf", "prolong"}),
        field("continuous_positions", &M::continuous_positions,
              "ProLong's flavour: positions do not restart")};
  }
};

// The model's shape: the folder's config.json with rope_theta overridden, or the keys above with
// `vocab_size`.
LlamaConfig resolve_llama_config(const ModelConfig& config, int64_t vocab_size);

}  // namespace retrace::model
