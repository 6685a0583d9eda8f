#include "model/llama/known_shapes.h"

#include "core/error.h"
#include "core/text.h"

namespace retrace::model {
namespace {

struct Shape {
  const char* name;
  int64_t vocabulary, hidden, feed_forward, layers, heads, kv_heads, head_dim, positions;
  double theta;
  bool tied, scaled;
};

// From the models' own config.json.
constexpr Shape kShapes[] = {
    {"llama-2-7b", 32000, 4096, 11008, 32, 32, 32, 128, 4096, 1e4, false, false},
    {"llama-3-8b", 128256, 4096, 14336, 32, 32, 8, 128, 8192, 5e5, false, false},
    {"llama-3-70b", 128256, 8192, 28672, 80, 64, 8, 128, 8192, 5e5, false, false},
    {"llama-3.1-8b", 128256, 4096, 14336, 32, 32, 8, 128, 131072, 5e5, false, true},
    {"llama-3.1-70b", 128256, 8192, 28672, 80, 64, 8, 128, 131072, 5e5, false, true},
    {"llama-3.2-1b", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, true, true},
    {"llama-3.2-3b", 128256, 3072, 8192, 28, 24, 8, 128, 131072, 5e5, true, true},
    {"smollm2-135m", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, true, false},
    {"smollm2-360m", 49152, 960, 2560, 32, 15, 5, 64, 8192, 1e5, true, false},
};

std::string plain(std::string name) {
  name = to_lower(name);
  if (name.starts_with("meta-")) name = name.substr(5);
  if (name.ends_with("-instruct")) name.resize(name.size() - 9);
  return name;
}

}  // namespace

LlamaConfig known_llama_config(const std::string& name) {
  std::string known;
  for (const Shape& s : kShapes) {
    known += (known.empty() ? "" : ", ") + std::string(s.name);
    if (plain(name) != s.name) continue;
    LlamaConfig c;
    c.vocab_size = s.vocabulary;
    c.hidden_size = s.hidden;
    c.intermediate_size = s.feed_forward;
    c.num_layers = s.layers;
    c.num_heads = s.heads;
    c.num_kv_heads = s.kv_heads;
    c.head_dim = s.head_dim;
    c.max_position_embeddings = s.positions;
    c.rope_theta = s.theta;
    c.tie_embeddings = s.tied;
    c.rope_scaling = s.scaled ? "llama3" : "none";
    if (s.scaled && std::string_view(s.name).starts_with("llama-3.2")) c.rope_factor = 32;
    return c;
  }
  throw Error(Code::input, "there is no model folder '" + name + "', and its shape is not known by name",
              "name a folder with a config.json, or one of " + known, "model.path");
}

}  // namespace retrace::model
