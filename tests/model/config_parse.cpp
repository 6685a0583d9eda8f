// config.json: what is read, what is refused and with which words, and what is written.
#include <catch2/catch_test_macros.hpp>

#include "model/config.h"
#include "tests/model/files_testing.h"

namespace retrace::model::testing {

namespace {

Json llama8b() {
  return parse_json(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
    "rope_scaling": null, "bos_token_id": 128000, "eos_token_id": 128009, "hidden_act": "silu",
    "attention_bias": false, "tie_word_embeddings": false, "torch_dtype": "bfloat16"})",
                    "test");
}

LlamaConfig parsed(const Json& json) {
  return parse_llama_config(json, "config.json");
}

}  // namespace

TEST_CASE("config: Llama-3-8B", "[unit]") {
  const LlamaConfig c = parsed(llama8b());
  REQUIRE(c.num_parameters() == 8030261248);
  REQUIRE(c.head_dim == 128);
  REQUIRE(c.rope_theta == 500000);
  REQUIRE(c.rope_scaling == "none");
  REQUIRE(c.bos_token_id == 128000);
  REQUIRE(c.pad_token_id == -1);
  REQUIRE(c.eos_token_ids == std::vector<int64_t>{128009});
}

TEST_CASE("config: absent keys have transformers' defaults", "[unit]") {
  Json json = llama8b();
  for (const char* key : {"num_key_value_heads", "rms_norm_eps", "rope_theta", "bos_token_id", "eos_token_id",
                          "max_position_embeddings", "tie_word_embeddings", "architectures"})
    json.erase(key);
  const LlamaConfig c = parsed(json);
  REQUIRE(c.num_kv_heads == 32);
  REQUIRE(c.rms_norm_eps == 1e-6);
  REQUIRE(c.rope_theta == 10000);
  REQUIRE(c.max_position_embeddings == 2048);
  REQUIRE(c.bos_token_id == 1);
  REQUIRE(c.eos_token_ids == std::vector<int64_t>{2});
  REQUIRE_FALSE(c.tie_embeddings);
}

TEST_CASE("config: RoPE in the forms of transformers 4 and 5", "[unit]") {
  Json four = llama8b();
  four["rope_scaling"] = {{"factor", 8.0},
                          {"low_freq_factor", 1.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 8192},
                          {"rope_type", "llama3"}};
  Json older = four;
  older["rope_scaling"].erase("rope_type");
  older["rope_scaling"]["type"] = "llama3";
  Json five = four;
  five["rope_parameters"] = four["rope_scaling"];
  five["rope_parameters"]["rope_theta"] = 500000.0;
  five.erase("rope_scaling");
  five.erase("rope_theta");
  for (const Json& json : {four, older, five}) {
    const LlamaConfig c = parsed(json);
    REQUIRE(c.rope_scaling == "llama3");
    REQUIRE(c.rope_theta == 500000);
    REQUIRE(c.rope_factor == 8);
    REQUIRE(c.rope_low_freq_factor == 1);
    REQUIRE(c.rope_high_freq_factor == 4);
    REQUIRE(c.rope_original_max_position == 8192);
  }
  Json plain = llama8b();
  plain.erase("rope_theta");
  plain["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 8e6}};
  REQUIRE(parsed(plain).rope_theta == 8e6);
  REQUIRE(parsed(plain).rope_scaling == "none");
  plain = llama8b();
  plain["rope_scaling"] = {{"rope_type", "default"}};
  REQUIRE(parsed(plain).rope_scaling == "none");
}

TEST_CASE("config: end-of-text ids as a list, as null, and from generation_config.json", "[unit]") {
  Json json = llama8b();
  json["eos_token_id"] = {128001, 128008, 128009};
  REQUIRE(parsed(json).eos_token_ids == std::vector<int64_t>{128001, 128008, 128009});
  json["eos_token_id"] = nullptr;
  json["bos_token_id"] = nullptr;
  REQUIRE(parsed(json).eos_token_ids.empty());
  REQUIRE(parsed(json).bos_token_id == -1);
  TempFolder folder;
  spill(folder / "config.json", to_text(llama8b()));
  REQUIRE(read_llama_config(folder.path()).eos_token_ids == std::vector<int64_t>{128009});
  spill(folder / "generation_config.json", R"({"eos_token_id": [128001, 128009]})");
  REQUIRE(read_llama_config(folder.path()).eos_token_ids == std::vector<int64_t>{128001, 128009});
}

TEST_CASE("config: what Retrace does not run is refused by its key", "[unit]") {
  struct Case {
    const char* key;
    Json value;
    const char* message;
  };
  const std::vector<Case> table = {
      {"architectures", Json::array({"MistralForCausalLM"}), "MistralForCausalLM"},
      {"architectures", Json::array(), "architectures"},
      {"model_type", "qwen2", "qwen2"},
      {"attention_bias", true, "attention_bias"},
      {"mlp_bias", true, "mlp_bias"},
      {"hidden_act", "gelu", "gelu"},
      {"sliding_window", 4096, "sliding_window"},
      {"quantization_config", Json::object(), "quantization_config"},
      {"rope_interleaved", true, "rope_interleaved"},
      {"partial_rotary_factor", 0.5, "partial_rotary_factor"},
      {"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}, "yarn"},
      {"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}, "linear"},
      {"rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}}, "dynamic"},
      {"rope_scaling", 3, "rope_scaling"},
      {"rope_scaling", {{"rope_type", "llama3"}}, "factor"},
      {"num_attention_heads", 31, "num_attention_heads"},
      {"num_key_value_heads", 5, "num_key_value_heads"},
      {"num_key_value_heads", 64, "num_key_value_heads"},
      {"hidden_size", 4100, "hidden_size"},
      {"hidden_size", 0, "hidden_size"},
      {"hidden_size", int64_t{1} << 40, "hidden_size"},
      {"vocab_size", -1, "vocab_size"},
      {"num_hidden_layers", 1000000, "num_hidden_layers"},
      {"head_dim", 127, "head_dim"},
      {"rms_norm_eps", -1.0, "rms_norm_eps"},
      {"rope_theta", 0, "rope_theta"},
      {"eos_token_id", 128256, "eos_token_id"},
      {"eos_token_id", Json::array({1, "x"}), "eos_token_id"},
      {"bos_token_id", 999999, "bos_token_id"},
  };
  for (const Case& c : table) {
    Json json = llama8b();
    json[c.key] = c.value;
    const Error error = error_of([&] { parsed(json); });
    INFO(c.key << ": " << error.what());
    REQUIRE(error.code() == Code::input);
    REQUIRE(says(error, c.message));
    REQUIRE(says(error, "config.json"));
  }
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"}) {
    Json json = llama8b();
    json.erase(key);
    const Error error = error_of([&] { parsed(json); });
    REQUIRE(error.status() == 3);
    REQUIRE(says(error, key));
    json[key] = "12";
    REQUIRE(error_of([&] { parsed(json); }).status() == 3);
  }
  REQUIRE(error_of([] { parsed(Json::array()); }).code() == Code::input);
  REQUIRE(error_of([] { read_llama_config("/nowhere/at/all"); }).code() == Code::input);
}

TEST_CASE("config: what is written is read back", "[unit]") {
  LlamaConfig c = small_shape(true);
  c.rope_scaling = "llama3";
  c.rope_factor = 32;
  c.head_dim = 16;
  c.eos_token_ids = {1, 7};
  c.bos_token_id = 0;
  const Json json = to_hf_json(c, "bfloat16");
  REQUIRE(to_hf_json(parsed(json), "bfloat16") == json);
  REQUIRE(json["torch_dtype"] == "bfloat16");
  REQUIRE(json["rope_scaling"]["factor"] == 32);
}

TEST_CASE("config: units are in their fixed order under HF names", "[unit]") {
  const auto untied = unit_specs(small_shape(false)), tied = unit_specs(small_shape(true));
  REQUIRE(untied.size() == 4);
  REQUIRE(untied[0].name == "embed");
  REQUIRE(untied[1].name == "block.0");
  REQUIRE(untied[3].name == "head");
  std::vector<std::string> names;
  for (const ParameterSpec& spec : untied[2].parameters) names.push_back(spec.name);
  REQUIRE(names == std::vector<std::string>{
                       "model.layers.1.input_layernorm.weight", "model.layers.1.self_attn.q_proj.weight",
                       "model.layers.1.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.weight",
                       "model.layers.1.self_attn.o_proj.weight",
                       "model.layers.1.post_attention_layernorm.weight",
                       "model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight",
                       "model.layers.1.mlp.down_proj.weight"});
  REQUIRE(untied[3].parameters.size() == 2);
  REQUIRE(tied[3].parameters.size() == 1);
  for (const ParameterSpec& spec : all_parameters(small_shape(false)))
    REQUIRE(spec.decay == (spec.name.find("norm") == std::string::npos));
  REQUIRE(small_shape(false).num_parameters() - small_shape(true).num_parameters() == 300 * 32);
}

TEST_CASE("config: a recipe's shape", "[unit]") {
  ModelConfig recipe;
  const LlamaConfig c = resolve_llama_config(recipe, 4096);
  REQUIRE(c.vocab_size == 4096);
  REQUIRE(c.head_dim == 64);
  REQUIRE(c.rope_theta == 500000);
  recipe.num_kv_heads = 3;
  REQUIRE(error_of([&] { resolve_llama_config(recipe, 4096); }).code() == Code::recipe);
  recipe = {};
  recipe.hidden_size = 250;
  REQUIRE(says(error_of([&] { resolve_llama_config(recipe, 4096); }), "model.num_heads"));
  recipe = {};
  recipe.head_dim = 33;
  REQUIRE(says(error_of([&] { resolve_llama_config(recipe, 4096); }), "model.head_dim"));
  TempFolder folder;
  spill(folder / "config.json", to_text(llama8b()));
  recipe = {};
  recipe.path = folder.path().string();
  REQUIRE(resolve_llama_config(recipe, 128000).vocab_size == 128256);
  REQUIRE(resolve_llama_config(recipe, 128000).rope_theta == 500000);
  recipe.rope_theta = 8e6;
  REQUIRE(resolve_llama_config(recipe, 128000).rope_theta == 8e6);
  REQUIRE(says(error_of([&] { resolve_llama_config(recipe, 200000); }), "tokenizer"));
}

}  // namespace retrace::model::testing
