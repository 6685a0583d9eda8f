// Recipe section [model] to a shape.
#include "model/config.h"

#include "core/error.h"
#include "core/files/paths.h"

namespace retrace::model {

auto ModelConfig::fields() {
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
      field("continuous_positions", &M::continuous_positions, "ProLong's flavour: positions do not restart")};
}

LlamaConfig resolve_llama_config(const ModelConfig& recipe, int64_t vocab_size) {
  if (!recipe.path.empty()) {
    LlamaConfig config = read_llama_config(resolve_path(recipe.path));
    if (vocab_size > config.vocab_size)
      throw Error(Code::recipe,
                  fmt::format("the tokenizer has {} ids, the model in {} has {}", vocab_size, recipe.path,
                              config.vocab_size),
                  "use the model's own tokenizer (tokenizer.path = \"\")", "tokenizer.path");
    if (recipe.rope_theta > 0) config.rope_theta = recipe.rope_theta;
    return config;
  }
  LlamaConfig c;
  c.vocab_size = vocab_size;
  c.hidden_size = recipe.hidden_size;
  c.intermediate_size = recipe.intermediate_size;
  c.num_layers = recipe.num_layers;
  c.num_heads = recipe.num_heads;
  c.num_kv_heads = recipe.num_kv_heads;
  if (c.num_heads % c.num_kv_heads != 0)
    throw Error(
        Code::recipe,
        fmt::format("{} heads are no multiple of {} key and value heads", c.num_heads, c.num_kv_heads), "",
        "model.num_kv_heads");
  if (c.hidden_size % c.num_heads != 0)
    throw Error(Code::recipe, fmt::format("width {} is no multiple of {} heads", c.hidden_size, c.num_heads),
                "transformers opens no model of such a shape", "model.num_heads");
  c.head_dim = recipe.head_dim > 0 ? recipe.head_dim : c.hidden_size / c.num_heads;
  if (c.head_dim % 2 != 0)
    throw Error(Code::recipe, fmt::format("a head of {} is odd; RoPE turns pairs", c.head_dim), "",
                "model.head_dim");
  c.rope_theta = recipe.rope_theta > 0 ? recipe.rope_theta : 500000;
  c.rope_scaling = recipe.rope_scaling;
  c.rms_norm_eps = recipe.rms_norm_eps;
  c.tie_embeddings = recipe.tie_embeddings;
  c.num_parameters();
  return c;
}

}  // namespace retrace::model

namespace retrace {
template model::ModelConfig Recipe::get<model::ModelConfig>() const;
template Section describe<model::ModelConfig>();
}  // namespace retrace
