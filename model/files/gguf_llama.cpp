// A llama model in a GGUF file: its shape and its weights, under HF's names and in HF's order of rows.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "model/files/gguf.h"

namespace retrace::model {

namespace {

[[noreturn]] void refuse(const GgufFile& file, const std::string& message, const std::string& hint = "") {
  throw Error(Code::input, message, hint, file.where());
}

// GGUF's name of an HF parameter.
std::string gguf_name(const std::string& hf_name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kInBlock = {
      {{"input_layernorm", "attn_norm"},
       {"self_attn.q_proj", "attn_q"},
       {"self_attn.k_proj", "attn_k"},
       {"self_attn.v_proj", "attn_v"},
       {"self_attn.o_proj", "attn_output"},
       {"post_attention_layernorm", "ffn_norm"},
       {"mlp.gate_proj", "ffn_gate"},
       {"mlp.up_proj", "ffn_up"},
       {"mlp.down_proj", "ffn_down"}}};
  if (hf_name == "model.embed_tokens.weight") return "token_embd.weight";
  if (hf_name == "model.norm.weight") return "output_norm.weight";
  if (hf_name == "lm_head.weight") return "output.weight";
  const std::vector<std::string_view> parts = split(hf_name, '.');  // model.layers.N.PART.weight
  for (const auto& [hf, gguf] : kInBlock)
    if (hf_name.ends_with(fmt::format(".{}.weight", hf)))
      return fmt::format("blk.{}.{}.weight", parts.at(2), gguf);
  throw Error(Code::internal, fmt::format("no GGUF name for '{}'", hf_name));
}

// What llama.cpp's converter stores of Llama 3.1's RoPE scaling: a divisor for each frequency.
std::vector<float> llama3_divisors(const LlamaConfig& c) {
  std::vector<float> divisors;
  const double low_wavelength = static_cast<double>(c.rope_original_max_position) / c.rope_low_freq_factor;
  const double high_wavelength = static_cast<double>(c.rope_original_max_position) / c.rope_high_freq_factor;
  for (int64_t i = 0; i < c.head_dim; i += 2) {
    const double frequency =
        std::pow(c.rope_theta, -static_cast<double>(i) / static_cast<double>(c.head_dim));
    const double wavelength = 2 * std::numbers::pi / frequency;
    double divisor = 1;
    if (wavelength > low_wavelength) {
      divisor = c.rope_factor;
    } else if (wavelength >= high_wavelength) {
      const double smooth =
          (static_cast<double>(c.rope_original_max_position) / wavelength - c.rope_low_freq_factor) /
          (c.rope_high_freq_factor - c.rope_low_freq_factor);
      divisor = 1 / ((1 - smooth) / c.rope_factor + smooth);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

// The file has the divisors, not the parameters: those of Llama 3.1 and 3.2 are tried and must explain them.
void read_rope_scaling(const GgufFile& file, LlamaConfig& config) {
  const std::string type = file.text_or("llama.rope.scaling.type", "none");
  if (type != "none") refuse(file, fmt::format("'llama.rope.scaling.type' = \"{}\" is not supported", type));
  const auto found = file.tensors().find("rope_freqs.weight");
  if (found == file.tensors().end()) return;
  const GgufTensor& tensor = found->second;
  if (tensor.shape != std::vector<int64_t>{config.head_dim / 2} || std::string(tensor.format->name) != "F32")
    refuse(file, "'rope_freqs.weight' is no row of float32, one a pair of the head");
  std::vector<float> given(static_cast<size_t>(config.head_dim / 2));
  dequantise(*tensor.format, tensor.bytes.data(), config.head_dim / 2, given.data());
  config.rope_scaling = "llama3";
  config.rope_factor = given.back();
  config.rope_low_freq_factor = 1;
  config.rope_high_freq_factor = 4;
  config.rope_original_max_position = 8192;
  const std::vector<float> expected = llama3_divisors(config);
  for (size_t i = 0; i < given.size(); ++i)
    if (!(std::abs(given[i] - expected[i]) <= 1e-3f * expected[i]))
      refuse(file, "'rope_freqs.weight' is not the RoPE scaling of Llama 3.1 or 3.2",
             "import the model from its original HF folder");
}

class GgufWeights : public WeightSource {
 public:
  GgufWeights(const GgufFile& file, const LlamaConfig& config) : file_(file), config_(config) {
    size_t used = file.tensors().count("rope_freqs.weight");
    for (const UnitSpec& unit : unit_specs(config))
      for (const ParameterSpec& spec : unit.parameters) {
        find(spec);
        ++used;
      }
    if (used != file.tensors().size()) refuse_unknown_tensor(config);
  }

  void read(const ParameterSpec& spec, int64_t begin, int64_t end, float* out) const override {
    ensure(begin >= 0 && begin <= end && end <= spec.size(), "a range of elements lies inside its tensor");
    const GgufTensor& tensor = find(spec);
    const int64_t columns = tensor.row_elements(), blocks = columns / tensor.format->block_elements;
    std::vector<float> row(static_cast<size_t>(columns));
    for (int64_t at = begin; at < end;) {
      const int64_t hf_row = at / columns, first = at - hf_row * columns;
      const int64_t count = std::min(columns - first, end - at);
      const char* bytes = tensor.bytes.data() + stored_row(spec.name, hf_row) * tensor.row_bytes();
      if (count == columns) {
        dequantise(*tensor.format, bytes, blocks, out + (at - begin));
      } else {
        dequantise(*tensor.format, bytes, blocks, row.data());
        std::copy_n(row.data() + first, count, out + (at - begin));
      }
      at += count;
    }
  }

  std::string fingerprint() const override {
    Sha256 hash;
    for (const auto& [name, tensor] : file_.tensors())
      hash.add(fmt::format("{} {} {:016x}\n", name, tensor.format->name, xxh3_64(tensor.bytes)));
    return hash.hex();
  }

 private:
  const GgufTensor& find(const ParameterSpec& spec) const {
    const std::string name = gguf_name(spec.name);
    const auto found = file_.tensors().find(name);
    if (found == file_.tensors().end()) refuse(file_, fmt::format("tensor '{}' is missing", name));
    if (found->second.shape != spec.shape)
      refuse(file_, fmt::format("tensor '{}' has another shape than the metadata ask for", name));
    if (found->second.format->dequantise == nullptr)
      refuse(file_,
             fmt::format("tensor '{}' has type {}, which is not supported", name, found->second.format->name),
             readable_formats() + " are read");
    return found->second;
  }

  // llama.cpp's converter interleaves the two halves of each head's rows in q and k, for its form of RoPE.
  int64_t stored_row(const std::string& name, int64_t hf_row) const {
    if (!name.ends_with("q_proj.weight") && !name.ends_with("k_proj.weight")) return hf_row;
    const int64_t head = hf_row / config_.head_dim, in_head = hf_row % config_.head_dim;
    const int64_t half = config_.head_dim / 2;
    return head * config_.head_dim + (in_head % half) * 2 + in_head / half;
  }

  [[noreturn]] void refuse_unknown_tensor(const LlamaConfig& config) const {
    std::vector<std::string> known = {"rope_freqs.weight"};
    for (const UnitSpec& unit : unit_specs(config))
      for (const ParameterSpec& spec : unit.parameters) known.push_back(gguf_name(spec.name));
    for (const auto& [name, tensor] : file_.tensors())
      if (std::find(known.begin(), known.end(), name) == known.end())
        refuse(file_, fmt::format("tensor '{}' has no place in a llama model", name));
    throw Error(Code::internal, "every tensor of the file is known");
  }

  const GgufFile& file_;
  LlamaConfig config_;
};

// A float32 of the file as the decimal that its author wrote: 1e-5, not 9.99999975e-06.
double decimal_or(const GgufFile& file, const char* key, double fallback) {
  return std::stod(fmt::format("{}", static_cast<float>(file.number_or(key, fallback))));
}

int64_t token_or_none(const GgufFile& file, const char* key, int64_t vocab_size) {
  const int64_t id = file.integer_or(key, -1);
  if (id < -1 || id >= vocab_size) refuse(file, fmt::format("'{}' = {} is no id of the vocabulary", key, id));
  return id;
}

}  // namespace

LlamaConfig llama_config_of(const GgufFile& file) {
  const std::string architecture = file.text("general.architecture");
  if (architecture != "llama")
    refuse(file, fmt::format("'general.architecture' = \"{}\" is not supported", architecture), "llama is");
  if (file.integer_or("llama.expert_count", 0) != 0) refuse(file, "mixtures of experts are not supported");
  const auto embedding = file.tensors().find("token_embd.weight");
  if (embedding == file.tensors().end()) refuse(file, "tensor 'token_embd.weight' is missing");

  const int64_t heads = file.integer("llama.attention.head_count");
  const int64_t hidden = file.integer("llama.embedding_length");
  if (heads < 1 || hidden < 1) refuse(file, "a llama model has a width and heads");
  const int64_t head_dim = file.integer_or("llama.attention.key_length", hidden / heads);
  for (const char* key : {"llama.attention.value_length", "llama.rope.dimension_count"})
    if (const int64_t other = file.integer_or(key, head_dim); other != head_dim)
      refuse(file, fmt::format("'{}' = {} differs from the head's {}", key, other, head_dim));
  const int64_t vocab_size = embedding->second.shape.front();
  Json json = {{"model_type", "llama"},
               {"vocab_size", vocab_size},
               {"hidden_size", hidden},
               {"intermediate_size", file.integer("llama.feed_forward_length")},
               {"num_hidden_layers", file.integer("llama.block_count")},
               {"num_attention_heads", heads},
               {"num_key_value_heads", file.integer_or("llama.attention.head_count_kv", heads)},
               {"head_dim", head_dim},
               {"max_position_embeddings", file.integer("llama.context_length")},
               {"rms_norm_eps", decimal_or(file, "llama.attention.layer_norm_rms_epsilon", 1e-5)},
               {"rope_theta", decimal_or(file, "llama.rope.freq_base", 10000)},
               {"tie_word_embeddings", file.tensors().count("output.weight") == 0}};
  LlamaConfig config = parse_llama_config(json, file.where());
  config.bos_token_id = token_or_none(file, "tokenizer.ggml.bos_token_id", vocab_size);
  config.pad_token_id = token_or_none(file, "tokenizer.ggml.padding_token_id", vocab_size);
  config.eos_token_ids.clear();
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    const int64_t id = token_or_none(file, key, vocab_size);
    if (id >= 0 && std::count(config.eos_token_ids.begin(), config.eos_token_ids.end(), id) == 0)
      config.eos_token_ids.push_back(id);
  }
  read_rope_scaling(file, config);
  return config;
}

std::unique_ptr<WeightSource> gguf_weights(const GgufFile& file, const LlamaConfig& config) {
  return std::make_unique<GgufWeights>(file, config);
}

void import_gguf(const fs::path& path, const fs::path& folder, const std::string& dtype) {
  const GgufFile file(path);
  const LlamaConfig config = llama_config_of(file);
  HfFolderOptions options;
  options.dtype = dtype;
  options.files = tokenizer_files_of(file);
  write_hf_folder(folder, config, *gguf_weights(file, config), options);
}

}  // namespace retrace::model
