// Recipe section [model] to a shape.
#include "model/model_config.h"

#include "core/error.h"
#include "core/paths.h"

namespace retrace::model {

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
