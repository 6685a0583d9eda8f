// GGUF: block formats against their formulas, a tiny file imported, and files of strangers.
#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "core/files/files.h"
#include "core/random.h"
#include "data/tokenizer/tokenizer.h"
#include "model/files/gguf.h"
#include "tests/model/files_testing.h"

namespace retrace::model::testing {

namespace {

std::vector<float> dequantised(uint32_t type, const std::string& block) {
  const BlockFormat* format = block_format(type);
  REQUIRE(format != nullptr);
  REQUIRE(static_cast<int64_t>(block.size()) == format->block_bytes);
  std::vector<float> values(static_cast<size_t>(format->block_elements));
  dequantise(*format, block.data(), 1, values.data());
  return values;
}

std::string random_block(Random& random, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(random.below(256));
  return bytes;
}

int bit(const std::string& bytes, size_t index) {
  return static_cast<uint8_t>(bytes[index / 8]) >> (index % 8) & 1;
}
int nibble(const std::string& bytes, size_t index, bool high) {
  return high ? static_cast<uint8_t>(bytes[index]) >> 4 : static_cast<uint8_t>(bytes[index]) & 15;
}

const std::string kHalf = raw(uint16_t{0x3800});          // 0.5
const std::string kMinusQuarter = raw(uint16_t{0xB400});  // -0.25

LlamaConfig imported_shape(bool tied) {
  LlamaConfig c = small_shape(tied);
  c.bos_token_id = 0;
  return c;
}

Error import_error(const GgufWriter& file) {
  TempFolder folder;
  spill(folder / "m.gguf", file.bytes());
  const Error error = error_of([&] { import_gguf(folder / "m.gguf", folder / "out", "float32"); });
  REQUIRE_FALSE(fs::exists(folder / "out"));
  REQUIRE(says(error, "m.gguf"));
  return error;
}

}  // namespace

TEST_CASE("gguf: blocks of 32 follow their formulas", "[unit]") {
  Random random(3, 3);
  for (int trial = 0; trial < 20; ++trial) {
    const std::string q = random_block(random, 16), high = random_block(random, 4),
                      bytes = random_block(random, 32);
    const auto q4_0 = dequantised(2, kHalf + q), q4_1 = dequantised(3, kHalf + kMinusQuarter + q);
    const auto q5_0 = dequantised(6, kHalf + high + q),
               q5_1 = dequantised(7, kHalf + kMinusQuarter + high + q);
    const auto q8_0 = dequantised(8, kHalf + bytes);
    for (size_t i = 0; i < 32; ++i) {
      const int four = nibble(q, i % 16, i >= 16), five = four + 16 * bit(high, i);
      REQUIRE(q4_0[i] == 0.5f * static_cast<float>(four - 8));
      REQUIRE(q4_1[i] == 0.5f * static_cast<float>(four) - 0.25f);
      REQUIRE(q5_0[i] == 0.5f * static_cast<float>(five - 16));
      REQUIRE(q5_1[i] == 0.5f * static_cast<float>(five) - 0.25f);
      REQUIRE(q8_0[i] == 0.5f * static_cast<float>(static_cast<int8_t>(bytes[i])));
    }
  }
}

TEST_CASE("gguf: blocks of 256 follow their formulas", "[unit]") {
  Random random(4, 4);
  for (int trial = 0; trial < 20; ++trial) {
    // Eight six-bit scales and minima: the low four bits of the last four and the two high bits of all lie
    // apart.
    const std::string packed = random_block(random, 12), q = random_block(random, 128),
                      high = random_block(random, 32);
    int scales[8], minima[8];
    const auto byte = [&](size_t i) { return static_cast<int>(static_cast<uint8_t>(packed[i])); };
    for (size_t i = 0; i < 4; ++i) {
      scales[i] = byte(i) % 64;
      minima[i] = byte(4 + i) % 64;
      scales[4 + i] = byte(8 + i) % 16 + byte(i) / 64 * 16;
      minima[4 + i] = byte(8 + i) / 16 + byte(4 + i) / 64 * 16;
    }
    const auto q4_k = dequantised(12, kHalf + kMinusQuarter + packed + q);
    const auto q5_k = dequantised(13, kHalf + kMinusQuarter + packed + high + q);
    for (size_t i = 0; i < 256; ++i) {
      const size_t sub = i / 32;
      const int four = nibble(q, i / 64 * 32 + i % 32, i % 64 >= 32);
      const int five = four + 16 * (static_cast<uint8_t>(high[i % 32]) >> sub & 1);
      REQUIRE(q4_k[i] == static_cast<float>(0.5 * scales[sub] * four + 0.25 * minima[sub]));
      REQUIRE(q5_k[i] == static_cast<float>(0.5 * scales[sub] * five + 0.25 * minima[sub]));
    }
    const std::string low6 = random_block(random, 128), high6 = random_block(random, 64),
                      scales6 = random_block(random, 16);
    const auto q6_k = dequantised(14, low6 + high6 + scales6 + kHalf);
    for (size_t i = 0; i < 256; ++i) {
      const size_t half = i / 128, in_half = i % 128;
      const int low = nibble(low6, half * 64 + in_half % 64, in_half >= 64);
      const int top = static_cast<uint8_t>(high6[half * 32 + in_half % 32]) >> (in_half / 32 * 2) & 3;
      const int scale = static_cast<int8_t>(scales6[i / 16]);
      REQUIRE(q6_k[i] == static_cast<float>(0.5 * scale * (low + 16 * top - 32)));
    }
  }
  REQUIRE(dequantised(0, raw(1.25f)) == std::vector<float>{1.25f});
  REQUIRE(dequantised(1, kHalf) == std::vector<float>{0.5f});
  REQUIRE(dequantised(30, raw(uint16_t{0x3FC0})) == std::vector<float>{1.5f});
}

TEST_CASE("gguf: a tiny file becomes the folder it came from", "[unit]") {
  for (const bool tied : {true, false}) {
    const LlamaConfig config = imported_shape(tied);
    const auto weights = random_weights(config, 21, 0.05);
    TempFolder folder;
    spill(folder / "m.gguf", tiny_gguf(config, *weights).bytes());
    import_gguf(folder / "m.gguf", folder / "out", "float32");
    const LlamaConfig read = read_llama_config(folder / "out");
    REQUIRE(to_hf_json(read, "x") == to_hf_json(config, "x"));
    const auto source = open_hf_weights(folder / "out", read);
    for (const ParameterSpec& spec : all_parameters(config)) {
      INFO(spec.name);
      REQUIRE(whole(*source, spec) == whole(*weights, spec));
    }
    const auto tokenizer = data::load_tokenizer(folder / "out");
    REQUIRE(tokenizer->vocab_size() == 260);
    REQUIRE_FALSE(tokenizer->bos().has_value());
    REQUIRE(tokenizer->eos() == 1);
    REQUIRE(tokenizer->encode("hel").size() == 1);
    REQUIRE(tokenizer->encode("help 12").size() == 5);
    REQUIRE(tokenizer->encode("<|start|>").size() == 9);
    REQUIRE(tokenizer->decode(tokenizer->encode("h\xffllo\n\n 12")) == "h\xffllo\n\n 12");
  }
}

TEST_CASE("gguf: any range of a permuted tensor is a part of the whole", "[unit]") {
  const LlamaConfig config = imported_shape(true);
  const auto weights = random_weights(config, 22, 0.05);
  const std::string bytes = tiny_gguf(config, *weights).bytes();
  const GgufFile file(bytes, "m.gguf");
  const auto source = gguf_weights(file, llama_config_of(file));
  Random random(5, 5);
  for (const ParameterSpec& spec : all_parameters(config))
    for (int trial = 0; trial < 10; ++trial) {
      const auto size = static_cast<uint64_t>(spec.size());
      const auto begin = static_cast<int64_t>(random.below(size));
      const auto end = begin + static_cast<int64_t>(random.below(size - static_cast<uint64_t>(begin) + 1));
      std::vector<float> part(static_cast<size_t>(end - begin)), expected = part;
      source->read(spec, begin, end, part.data());
      weights->read(spec, begin, end, expected.data());
      REQUIRE(part == expected);
    }
}

TEST_CASE("gguf: BOS goes where the file says that it goes", "[unit]") {
  const LlamaConfig config = imported_shape(true);
  TempFolder folder;
  GgufWriter file = tiny_gguf(config, *random_weights(config, 1, 0.05));
  file.flag("tokenizer.ggml.add_bos_token", true);
  file.text("tokenizer.chat_template", "{{ messages }}");
  spill(folder / "m.gguf", file.bytes());
  import_gguf(folder / "m.gguf", folder / "out", "bfloat16");
  const auto tokenizer = data::load_tokenizer(folder / "out");
  REQUIRE(tokenizer->bos() == 0);
  const Json json = parse_json(read_file(folder / "out/tokenizer_config.json"), "");
  REQUIRE(json["chat_template"] == "{{ messages }}");
  REQUIRE(json["bos_token"] == "<|start|>");
  REQUIRE(read_file(folder / "out/tokenizer.json").find("TemplateProcessing") != std::string::npos);
}

TEST_CASE("gguf: Llama 3.1's RoPE scaling is known by its divisors", "[unit]") {
  LlamaConfig config = imported_shape(true);
  config.rope_theta = 500000;
  config.head_dim = 64;
  config.hidden_size = 256;
  GgufWriter file = tiny_gguf(config, *random_weights(config, 1, 0.05));
  std::string divisors;
  for (int i = 0; i < 32; ++i) {
    const double wavelength = 2 * M_PI * std::pow(500000.0, i / 32.0);
    const double smooth = (8192 / wavelength - 1) / 3;
    const double divisor = wavelength < 2048 ? 1 : wavelength > 8192 ? 32 : 1 / ((1 - smooth) / 32 + smooth);
    divisors += raw(static_cast<float>(divisor));
  }
  file.tensors.push_back({"rope_freqs.weight", {32}, 0, divisors});
  const std::string bytes = file.bytes();
  const GgufFile read(bytes, "m.gguf");
  REQUIRE(llama_config_of(read).rope_scaling == "llama3");
  REQUIRE(llama_config_of(read).rope_factor == 32);
  REQUIRE(llama_config_of(read).rope_original_max_position == 8192);
  file.tensors.back().bytes.replace(40, 4, raw(9.0f));
  REQUIRE(says(import_error(file), "rope_freqs.weight"));
}

TEST_CASE("gguf: what is not supported is named", "[unit]") {
  const LlamaConfig config = imported_shape(true);
  const GgufWriter good = tiny_gguf(config, *random_weights(config, 1, 0.05));
  const auto with = [&](const std::string& key, const auto& change) {
    GgufWriter file = good;
    file.erase(key);
    change(file);
    return import_error(file);
  };
  REQUIRE(
      says(with("general.architecture", [](auto& f) { f.text("general.architecture", "qwen2"); }), "qwen2"));
  REQUIRE(says(with("general.architecture", [](auto&) {}), "'general.architecture' is missing"));
  REQUIRE(says(with("llama.block_count", [](auto& f) { f.u32("llama.block_count", 3); }), "blk.2"));
  REQUIRE(says(with("llama.block_count", [](auto& f) { f.u32("llama.block_count", 1); }), "blk.1"));
  REQUIRE(says(with("llama.block_count", [](auto& f) { f.f32("llama.block_count", 2); }), "no integer"));
  REQUIRE(says(with("x", [](auto& f) { f.u32("llama.expert_count", 8); }), "mixtures"));
  REQUIRE(says(with("x", [](auto& f) { f.text("llama.rope.scaling.type", "yarn"); }), "yarn"));
  REQUIRE(says(with("llama.rope.dimension_count", [](auto& f) { f.u32("llama.rope.dimension_count", 4); }),
               "rope.dimension_count"));
  REQUIRE(says(with("llama.feed_forward_length", [](auto& f) { f.u32("llama.feed_forward_length", 63); }),
               "shape"));
  REQUIRE(says(with("tokenizer.ggml.model", [](auto& f) { f.text("tokenizer.ggml.model", "llama"); }),
               "\"llama\""));
  REQUIRE(says(with("tokenizer.ggml.pre", [](auto& f) { f.text("tokenizer.ggml.pre", "qwen2"); }), "qwen2"));
  REQUIRE(says(with("tokenizer.ggml.merges",
                    [](auto& f) {
                      f.texts("tokenizer.ggml.merges", {"h e", "q zz"});
                    }),
               "merge 1"));
  REQUIRE(says(with("tokenizer.ggml.token_type", [](auto& f) { f.i32s("tokenizer.ggml.token_type", {1}); }),
               "types"));
  REQUIRE(
      says(with("tokenizer.ggml.eos_token_id", [](auto& f) { f.u32("tokenizer.ggml.eos_token_id", 300); }),
           "eos_token_id"));
  REQUIRE(says(with("x", [](auto& f) { f.flag("tokenizer.ggml.add_eos_token", true); }), "add_eos_token"));
  REQUIRE(says(with("x",
                    [](auto& f) {
                      f.tensors.push_back({"blk.0.attn_q.bias", {32}, 0, std::string(128, 'x')});
                    }),
               "attn_q.bias"));
  REQUIRE(says(with("x",
                    [](auto& f) {
                      f.tensors[3].type = 19;
                      f.tensors[3].bytes.resize(64);
                    }),
               "type 19"));
  REQUIRE(says(with("x", [](auto& f) { f.tensors[1].type = 26; }), "I32"));
}

TEST_CASE("gguf: each broken rule of the container is refused", "[unit]") {
  const LlamaConfig config = imported_shape(true);
  const GgufWriter good = tiny_gguf(config, *random_weights(config, 1, 0.05));
  const auto refused = [](const std::string& bytes, const std::string& message) {
    const Error error = error_of([&] { GgufFile(bytes, "m.gguf"); });
    INFO(error.what());
    REQUIRE(error.code() == Code::corrupt);
    REQUIRE(says(error, message));
  };
  refused("", "no GGUF");
  refused("GGML" + good.bytes().substr(4), "no GGUF");
  GgufWriter file = good;
  file.version = 1;
  refused(file.bytes(), "version 1");
  file.version = 0x03000000;
  refused(file.bytes(), "big-endian");
  const std::string head = "GGUF" + raw(uint32_t{3});
  refused(head + raw(~uint64_t{0}) + raw(uint64_t{0}), "do not fit");
  refused(head + raw(uint64_t{0}) + raw(uint64_t{1} << 60) + std::string(64, 'x'), "do not fit");
  const auto pair = [&](const std::string& value) {
    return head + raw(uint64_t{0}) + raw(uint64_t{1}) + raw(uint64_t{1}) + "k" + value +
           std::string(16, '\0');
  };
  refused(pair(raw(uint32_t{13})), "metadata type 13");
  refused(pair(raw(uint32_t{8}) + raw(~uint64_t{0})), "cut off");
  refused(pair(raw(uint32_t{9}) + raw(uint32_t{6}) + raw(uint64_t{1} << 62)), "do not fit");
  refused(pair(raw(uint32_t{9}) + raw(uint32_t{9}) + raw(uint64_t{1})), "arrays of arrays");
  file = good;
  file.u32("llama.block_count", 2);
  refused(file.bytes(), "twice");
  for (const uint32_t alignment : {0u, 3u, 33u, 4u, 1u << 30}) {
    file = good;
    file.u32("general.alignment", alignment);
    refused(file.bytes(), "general.alignment");
  }
  file = good;
  file.u32("general.alignment", 4096);  // the offsets are multiples of 32
  refused(file.bytes(), "multiple of 4096");
  file = good;
  file.tensors[1].name = file.tensors[0].name;
  refused(file.bytes(), "twice");
  file = good;
  file.tensors[1].dimensions = {0};
  refused(file.bytes(), "dimension of 0");
  file.tensors[1].dimensions = {1, 1, 1, 1, 1};
  refused(file.bytes(), "5 dimensions");
  file.tensors[1].dimensions = {uint64_t{1} << 40, uint64_t{1} << 40};
  refused(file.bytes(), "too large");
  file.tensors[1].dimensions = {~uint64_t{0}};
  refused(file.bytes(), "does not fit");
  file = good;
  file.tensors[0].dimensions[0] *= 2;
  refused(file.bytes(), "overlaps");
  file = good;
  file.tensors.back().bytes.pop_back();
  refused(file.bytes(), "cut off");
  file = good;
  file.tensors[1] = {"blk.0.attn_norm.weight", {33}, 2, std::string(18, 'x')};
  refused(file.bytes(), "blocks of 32");
}

TEST_CASE("gguf: flipped and cut files are refused or imported, never worse", "[unit]") {
  const LlamaConfig config = imported_shape(true);
  const std::string good = tiny_gguf(config, *random_weights(config, 1, 0.05)).bytes();
  const size_t interesting = 9000;  // metadata and the table of tensors
  REQUIRE(good.size() > interesting);
  Random random(8, 1);
  int refused = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string bytes = good;
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      bytes[random.below(interesting)] = static_cast<char>(random.below(256));
    if (random.below(4) == 0) bytes.resize(random.below(bytes.size() + 1));
    try {
      const GgufFile file(bytes, "m.gguf");
      const LlamaConfig read = llama_config_of(file);
      const auto source = gguf_weights(file, read);
      tokenizer_files_of(file);
      whole(*source, all_parameters(read)[2]);
    } catch (const Error& error) {
      REQUIRE(error.status() == 3);
      ++refused;
    }
  }
  REQUIRE(refused > 500);
}

}  // namespace retrace::model::testing
