// config.json of LlamaForCausalLM, as transformers 4 and 5 write it, to LlamaConfig and back; and the list of
// a model's parameters. Whatever the block programs do not compute is refused here, by the name of its key.
#include "model/llama_config.h"

#include <cmath>

#include "core/checked.h"
#include "core/files/files.h"

namespace retrace::model {

namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

[[noreturn]] void refuse(const std::string& where, const std::string& message, const std::string& hint = "") {
  throw Error(Code::input, message, hint, where);
}

bool present(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && !found->is_null();
}

int64_t integer_in(const Json& json, const char* key, int64_t low, int64_t high, const std::string& where) {
  const int64_t value = get<int64_t>(json, key, where);
  if (value < low || value > high)
    refuse(where, fmt::format("'{}' = {} is outside {} to {}", key, value, low, high));
  return value;
}

double number_in(const Json& json, const char* key, double low, double high, const std::string& where) {
  if (!json.is_object() || !json.contains(key)) refuse(where, fmt::format("key '{}' is missing", key));
  const Json& value = json[key];
  if (!value.is_number()) refuse(where, fmt::format("'{}' is no number: {}", key, value.dump()));
  const double number = value.get<double>();
  if (!(number >= low && number <= high))
    refuse(where, fmt::format("'{}' = {} is outside {} to {}", key, number, low, high));
  return number;
}

void check_architecture(const Json& json, const std::string& where) {
  const char* hint = "retrace runs LlamaForCausalLM (Llama 2, 3, 3.1, 3.2, SmolLM2)";
  const bool named = present(json, "architectures"), typed = present(json, "model_type");
  if (!named && !typed) refuse(where, "neither 'architectures' nor 'model_type' is there", hint);
  if (named) {
    const Json& list = json["architectures"];
    if (!list.is_array() || list.size() != 1 || list[0] != "LlamaForCausalLM")
      refuse(where, fmt::format("'architectures' = {} is not supported", list.dump()), hint);
  }
  if (typed && json["model_type"] != "llama")
    refuse(where, fmt::format("'model_type' = {} is not supported", json["model_type"].dump()), hint);
}

void refuse_unsupported(const Json& json, const std::string& where) {
  for (const char* key : {"attention_bias", "mlp_bias", "rope_interleaved"})
    if (present(json, key) && json[key] != false)
      refuse(where, fmt::format("'{}' = {} is not supported", key, json[key].dump()));
  for (const char* key : {"quantization_config", "sliding_window", "num_local_experts"})
    if (present(json, key)) refuse(where, fmt::format("'{}' is not supported", key));
  if (present(json, "hidden_act") && json["hidden_act"] != "silu")
    refuse(where, fmt::format("'hidden_act' = {} is not supported; silu is", json["hidden_act"].dump()));
  if (present(json, "partial_rotary_factor") && json["partial_rotary_factor"] != 1)
    refuse(where, "'partial_rotary_factor' other than 1 is not supported");
}

// `rope` is the dict under `key`: "rope_scaling" (transformers 4) or "rope_parameters" (5).
void parse_rope(const Json& rope, const char* key, LlamaConfig& config, const std::string& where) {
  if (!rope.is_object()) refuse(where, fmt::format("'{}' is no object: {}", key, rope.dump()));
  const std::string inside = fmt::format("{}, {}", where, key);
  const char* type_key = present(rope, "rope_type") ? "rope_type" : "type";
  const std::string type = get_or<std::string>(rope, type_key, "default", inside);
  if (present(rope, "rope_theta")) config.rope_theta = number_in(rope, "rope_theta", 1, 1e15, inside);
  if (present(rope, "partial_rotary_factor") && rope["partial_rotary_factor"] != 1)
    refuse(inside, "'partial_rotary_factor' other than 1 is not supported");
  if (type == "default") return;
  if (type != "llama3")
    refuse(inside, fmt::format("'{}' = \"{}\" is not supported; default and llama3 are", type_key, type));
  config.rope_scaling = "llama3";
  config.rope_factor = number_in(rope, "factor", 1, 1e6, inside);
  config.rope_low_freq_factor = number_in(rope, "low_freq_factor", 1e-6, 1e6, inside);
  config.rope_high_freq_factor = number_in(rope, "high_freq_factor", 1e-6, 1e6, inside);
  if (config.rope_low_freq_factor >= config.rope_high_freq_factor)
    refuse(inside, "'low_freq_factor' must be below 'high_freq_factor'");
  config.rope_original_max_position =
      integer_in(rope, "original_max_position_embeddings", 1, int64_t{1} << 32, inside);
}

// An absent key has the default of transformers' LlamaConfig, null means none.
int64_t token_id(const Json& json, const char* key, int64_t fallback, int64_t vocab_size,
                 const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end()) return fallback < vocab_size ? fallback : -1;
  if (found->is_null()) return -1;
  return integer_in(json, key, -1, vocab_size - 1, where);
}

std::vector<int64_t> eos_ids(const Json& json, int64_t vocab_size, const std::string& where) {
  constexpr int64_t kTransformersDefault = 2;
  std::vector<int64_t> ids;
  if (!json.contains("eos_token_id") || !json["eos_token_id"].is_array()) {
    const int64_t id = token_id(json, "eos_token_id", kTransformersDefault, vocab_size, where);
    if (id >= 0) ids.push_back(id);
    return ids;
  }
  for (const Json& id : json["eos_token_id"]) {
    if (!id.is_number_integer() || id < 0 || id >= vocab_size)
      refuse(where, fmt::format("'eos_token_id' holds {}, which is no id of the vocabulary", id.dump()));
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

}  // namespace

LlamaConfig parse_llama_config(const Json& json, const std::string& where) {
  if (!json.is_object()) refuse(where, "config.json is no JSON object");
  check_architecture(json, where);
  refuse_unsupported(json, where);
  LlamaConfig c;
  c.vocab_size = integer_in(json, "vocab_size", 1, int64_t{1} << 24, where);
  c.hidden_size = integer_in(json, "hidden_size", 1, int64_t{1} << 20, where);
  c.intermediate_size = integer_in(json, "intermediate_size", 1, int64_t{1} << 24, where);
  c.num_layers = integer_in(json, "num_hidden_layers", 1, 1024, where);
  c.num_heads = integer_in(json, "num_attention_heads", 1, 1 << 16, where);
  c.num_kv_heads = present(json, "num_key_value_heads")
                       ? integer_in(json, "num_key_value_heads", 1, c.num_heads, where)
                       : c.num_heads;
  if (c.num_heads % c.num_kv_heads != 0)
    refuse(where, fmt::format("'num_attention_heads' = {} is no multiple of 'num_key_value_heads' = {}",
                              c.num_heads, c.num_kv_heads));
  if (c.hidden_size % c.num_heads != 0)
    refuse(where, fmt::format("'hidden_size' = {} is no multiple of 'num_attention_heads' = {}",
                              c.hidden_size, c.num_heads));
  c.head_dim = present(json, "head_dim") ? integer_in(json, "head_dim", 2, 1 << 14, where)
                                         : c.hidden_size / c.num_heads;
  if (c.head_dim % 2 != 0) refuse(where, fmt::format("'head_dim' = {} is odd; RoPE turns pairs", c.head_dim));
  c.max_position_embeddings = present(json, "max_position_embeddings")
                                  ? integer_in(json, "max_position_embeddings", 1, int64_t{1} << 32, where)
                                  : 2048;
  c.rms_norm_eps = present(json, "rms_norm_eps") ? number_in(json, "rms_norm_eps", 0, 1, where) : 1e-6;
  c.rope_theta = present(json, "rope_theta") ? number_in(json, "rope_theta", 1, 1e15, where) : 10000;
  // transformers 5 reads rope_scaling first when a file has both.
  if (present(json, "rope_scaling") && !json["rope_scaling"].empty())
    parse_rope(json["rope_scaling"], "rope_scaling", c, where);
  else if (present(json, "rope_parameters"))
    parse_rope(json["rope_parameters"], "rope_parameters", c, where);
  c.tie_embeddings = get_or<bool>(json, "tie_word_embeddings", false, where);
  c.bos_token_id = token_id(json, "bos_token_id", 1, c.vocab_size, where);
  c.pad_token_id = token_id(json, "pad_token_id", -1, c.vocab_size, where);
  c.eos_token_ids = eos_ids(json, c.vocab_size, where);
  c.num_parameters();
  return c;
}

LlamaConfig read_llama_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!fs::exists(path))
    throw Error(Code::input, fmt::format("no model in {}", folder.string()),
                "a Hugging Face folder holds config.json", path.string());
  LlamaConfig config =
      parse_llama_config(parse_json(read_file(path, kMaxConfigBytes), path.string()), path.string());
  // Generation ends at these where the file gives them, as in transformers; chat models list more ids here.
  const fs::path generation = folder / "generation_config.json";
  if (fs::exists(generation)) {
    const Json json = parse_json(read_file(generation, kMaxConfigBytes), generation.string());
    if (json.is_object() && present(json, "eos_token_id"))
      config.eos_token_ids = eos_ids(json, config.vocab_size, generation.string());
  }
  return config;
}

Json to_hf_json(const LlamaConfig& c, const std::string& torch_dtype) {
  const auto id_or_null = [](int64_t id) { return id >= 0 ? Json(id) : Json(nullptr); };
  Json scaling = nullptr;
  if (c.rope_scaling == "llama3")
    scaling = {{"rope_type", "llama3"},
               {"factor", c.rope_factor},
               {"low_freq_factor", c.rope_low_freq_factor},
               {"high_freq_factor", c.rope_high_freq_factor},
               {"original_max_position_embeddings", c.rope_original_max_position}};
  Json eos = nullptr;
  if (c.eos_token_ids.size() == 1) eos = c.eos_token_ids[0];
  if (c.eos_token_ids.size() > 1) eos = c.eos_token_ids;
  return {{"architectures", Json::array({"LlamaForCausalLM"})},
          {"model_type", "llama"},
          {"vocab_size", c.vocab_size},
          {"hidden_size", c.hidden_size},
          {"intermediate_size", c.intermediate_size},
          {"num_hidden_layers", c.num_layers},
          {"num_attention_heads", c.num_heads},
          {"num_key_value_heads", c.num_kv_heads},
          {"head_dim", c.head_dim},
          {"hidden_act", "silu"},
          {"max_position_embeddings", c.max_position_embeddings},
          {"rms_norm_eps", c.rms_norm_eps},
          {"rope_theta", c.rope_theta},
          {"rope_scaling", scaling},
          {"tie_word_embeddings", c.tie_embeddings},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"attention_dropout", 0.0},
          {"initializer_range", 0.02},
          {"use_cache", true},
          {"bos_token_id", id_or_null(c.bos_token_id)},
          {"eos_token_id", eos},
          {"pad_token_id", id_or_null(c.pad_token_id)},
          {"torch_dtype", torch_dtype}};
}

int64_t ParameterSpec::size() const {
  int64_t product = 1;
  for (const int64_t extent : shape) product = checked_mul(product, extent, name);
  return product;
}

int64_t UnitSpec::size() const {
  int64_t sum = 0;
  for (const ParameterSpec& parameter : parameters) sum = checked_add(sum, parameter.size(), name);
  return sum;
}

int64_t LlamaConfig::num_parameters() const {
  int64_t sum = 0;
  for (const UnitSpec& unit : unit_specs(*this)) sum = checked_add(sum, unit.size(), "number of parameters");
  return sum;
}

std::vector<UnitSpec> unit_specs(const LlamaConfig& c) {
  const int64_t d = c.hidden_size, q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  std::vector<UnitSpec> units;
  units.push_back({"embed", {{"model.embed_tokens.weight", {c.vocab_size, d}, true}}});
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string at = fmt::format("model.layers.{}.", i);
    units.push_back({fmt::format("block.{}", i),
                     {{at + "input_layernorm.weight", {d}, false},
                      {at + "self_attn.q_proj.weight", {q, d}, true},
                      {at + "self_attn.k_proj.weight", {kv, d}, true},
                      {at + "self_attn.v_proj.weight", {kv, d}, true},
                      {at + "self_attn.o_proj.weight", {d, q}, true},
                      {at + "post_attention_layernorm.weight", {d}, false},
                      {at + "mlp.gate_proj.weight", {c.intermediate_size, d}, true},
                      {at + "mlp.up_proj.weight", {c.intermediate_size, d}, true},
                      {at + "mlp.down_proj.weight", {d, c.intermediate_size}, true}}});
  }
  units.push_back({"head", {{"model.norm.weight", {d}, false}}});
  if (!c.tie_embeddings) units.back().parameters.push_back({"lm_head.weight", {c.vocab_size, d}, true});
  return units;
}

}  // namespace retrace::model
