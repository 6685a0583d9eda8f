// What the tests of model files share: folders that go away, errors caught, tiny shapes, and writers of
// safetensors and GGUF bytes that can be made wrong on purpose.
#pragma once

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "model/files/weights.h"
#include "model/llama_config.h"
#include "tests/shared.h"

namespace retrace::model::testing {

namespace fs = std::filesystem;

using tests::error_of;
using tests::TempFolder;

// True if the error's full text holds `part`.
bool says(const Error& error, const std::string& part);
void spill(const fs::path& path, const std::string& bytes);

LlamaConfig small_shape(bool tied);
// Every element of a parameter.
std::vector<float> whole(const WeightSource& weights, const ParameterSpec& spec);
std::vector<ParameterSpec> all_parameters(const LlamaConfig& config);

// Little-endian bytes of a number.
template <class T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string safetensors_bytes(const std::string& header, const std::string& data);

// Writes GGUF version 3. Fields are public so that a test can break any of them.
struct GgufWriter {
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dimensions;  // the file's order: columns first
    uint32_t type;
    std::string bytes;
  };
  uint32_t version = 3;
  uint64_t alignment = 32;
  std::vector<std::pair<std::string, std::string>> metadata;  // key, type and value as bytes
  std::vector<Tensor> tensors;

  void text(const std::string& key, const std::string& value);
  void u32(const std::string& key, uint32_t value);
  void f32(const std::string& key, float value);
  void flag(const std::string& key, bool value);
  void texts(const std::string& key, const std::vector<std::string>& values);
  void i32s(const std::string& key, const std::vector<int32_t>& values);
  void erase(const std::string& key);
  std::string bytes() const;
};

// A llama of `config` with these weights as F32 (q and k permuted as llama.cpp's converter does) and a tiny
// tokenizer that has a token for each byte.
GgufWriter tiny_gguf(const LlamaConfig& config, const WeightSource& weights);

}  // namespace retrace::model::testing
