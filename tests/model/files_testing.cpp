#include "tests/model/files_testing.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <map>

#include "data/tokenizer/byte_level.h"

namespace retrace::model::testing {

bool says(const Error& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

void spill(const fs::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  REQUIRE(out.good());
}

LlamaConfig small_shape(bool tied) {
  LlamaConfig c;
  c.vocab_size = 300;
  c.hidden_size = 32;
  c.intermediate_size = 64;
  c.num_layers = 2;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.head_dim = 8;
  c.max_position_embeddings = 256;
  c.rope_theta = 10000;
  c.tie_embeddings = tied;
  c.eos_token_ids = {1};
  return c;
}

std::vector<float> whole(const WeightSource& weights, const ParameterSpec& spec) {
  std::vector<float> values(static_cast<size_t>(spec.size()));
  weights.read(spec, 0, spec.size(), values.data());
  return values;
}

std::vector<ParameterSpec> all_parameters(const LlamaConfig& config) {
  std::vector<ParameterSpec> specs;
  for (const UnitSpec& unit : unit_specs(config))
    specs.insert(specs.end(), unit.parameters.begin(), unit.parameters.end());
  return specs;
}

std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return raw(static_cast<uint64_t>(header.size())) + header + data;
}

namespace {

std::string text_bytes(const std::string& text) {
  return raw(static_cast<uint64_t>(text.size())) + text;
}

constexpr uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

}  // namespace

void GgufWriter::text(const std::string& key, const std::string& value) {
  metadata.emplace_back(key, raw(kString) + text_bytes(value));
}
void GgufWriter::u32(const std::string& key, uint32_t value) {
  metadata.emplace_back(key, raw(kU32) + raw(value));
}
void GgufWriter::f32(const std::string& key, float value) {
  metadata.emplace_back(key, raw(kF32) + raw(value));
}
void GgufWriter::flag(const std::string& key, bool value) {
  metadata.emplace_back(key, raw(kBool) + std::string(1, value ? '\1' : '\0'));
}
void GgufWriter::texts(const std::string& key, const std::vector<std::string>& values) {
  std::string bytes = raw(kArray) + raw(kString) + raw(static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) bytes += text_bytes(value);
  metadata.emplace_back(key, bytes);
}
void GgufWriter::i32s(const std::string& key, const std::vector<int32_t>& values) {
  std::string bytes = raw(kArray) + raw(kI32) + raw(static_cast<uint64_t>(values.size()));
  for (const int32_t value : values) bytes += raw(value);
  metadata.emplace_back(key, bytes);
}
void GgufWriter::erase(const std::string& key) {
  std::erase_if(metadata, [&](const auto& entry) { return entry.first == key; });
}

std::string GgufWriter::bytes() const {
  std::string head = "GGUF" + raw(version) + raw(static_cast<uint64_t>(tensors.size())) +
                     raw(static_cast<uint64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) head += text_bytes(key) + value;
  std::string data;
  for (const Tensor& tensor : tensors) {
    data.append((alignment - data.size() % alignment) % alignment, '\0');
    head += text_bytes(tensor.name) + raw(static_cast<uint32_t>(tensor.dimensions.size()));
    for (const uint64_t extent : tensor.dimensions) head += raw(extent);
    head += raw(tensor.type) + raw(static_cast<uint64_t>(data.size()));
    data += tensor.bytes;
  }
  head.append((alignment - head.size() % alignment) % alignment, '\0');
  return head + data;
}

GgufWriter tiny_gguf(const LlamaConfig& c, const WeightSource& weights) {
  GgufWriter file;
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  file.text("general.architecture", "llama");
  file.u32("llama.block_count", u32(c.num_layers));
  file.u32("llama.context_length", u32(c.max_position_embeddings));
  file.u32("llama.embedding_length", u32(c.hidden_size));
  file.u32("llama.feed_forward_length", u32(c.intermediate_size));
  file.u32("llama.attention.head_count", u32(c.num_heads));
  file.u32("llama.attention.head_count_kv", u32(c.num_kv_heads));
  file.u32("llama.rope.dimension_count", u32(c.head_dim));
  file.f32("llama.rope.freq_base", static_cast<float>(c.rope_theta));
  file.f32("llama.attention.layer_norm_rms_epsilon", static_cast<float>(c.rms_norm_eps));
  file.text("tokenizer.ggml.model", "gpt2");
  file.text("tokenizer.ggml.pre", "smollm");
  std::vector<std::string> tokens = {"<|start|>", "<|end|>"};
  std::vector<int32_t> types = {3, 3};
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back(data::to_byte_level(std::string(1, static_cast<char>(byte))));
  tokens.push_back("he");
  tokens.push_back("hel");
  types.resize(tokens.size(), 1);
  file.texts("tokenizer.ggml.tokens", tokens);
  file.i32s("tokenizer.ggml.token_type", types);
  file.texts("tokenizer.ggml.merges", {"h e", "he l"});
  file.u32("tokenizer.ggml.bos_token_id", 0);
  file.u32("tokenizer.ggml.eos_token_id", 1);

  const std::map<std::string, std::string> names = {{"input_layernorm", "attn_norm"},
                                                    {"q_proj", "attn_q"},
                                                    {"k_proj", "attn_k"},
                                                    {"v_proj", "attn_v"},
                                                    {"o_proj", "attn_output"},
                                                    {"post_attention_layernorm", "ffn_norm"},
                                                    {"gate_proj", "ffn_gate"},
                                                    {"up_proj", "ffn_up"},
                                                    {"down_proj", "ffn_down"}};
  for (const ParameterSpec& spec : all_parameters(c)) {
    std::vector<float> values = whole(weights, spec);
    std::string name = spec.name == "model.embed_tokens.weight" ? "token_embd.weight"
                       : spec.name == "model.norm.weight"       ? "output_norm.weight"
                       : spec.name == "lm_head.weight"          ? "output.weight"
                                                                : "";
    if (name.empty()) {
      const std::string stem = spec.name.substr(0, spec.name.size() - std::string(".weight").size());
      const std::string part = stem.substr(stem.rfind('.') + 1);
      name = "blk." + std::to_string(std::stoi(spec.name.substr(std::string("model.layers.").size()))) + "." +
             names.at(part) + ".weight";
      // weights.reshape(heads, 2, dim / 2, columns).swapaxes(1, 2), as llama.cpp's converter does.
      if (part == "q_proj" || part == "k_proj") {
        const size_t columns = static_cast<size_t>(spec.shape[1]), dim = static_cast<size_t>(c.head_dim);
        const std::vector<float> hf = values;
        size_t row = 0;
        for (size_t head = 0; head < static_cast<size_t>(spec.shape[0]) / dim; ++head)
          for (size_t pair = 0; pair < dim / 2; ++pair)
            for (size_t half = 0; half < 2; ++half, ++row)
              std::copy_n(
                  hf.begin() + static_cast<std::ptrdiff_t>((head * dim + half * dim / 2 + pair) * columns),
                  columns, values.begin() + static_cast<std::ptrdiff_t>(row * columns));
      }
    }
    std::vector<uint64_t> dimensions(spec.shape.rbegin(), spec.shape.rend());
    file.tensors.push_back(
        {name, dimensions, 0, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}});
  }
  return file;
}

}  // namespace retrace::model::testing
