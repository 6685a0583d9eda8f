// GGUF files (versions 2 and 3, little-endian) of strangers: metadata and a table of tensors over a memory
// map. Promise: every count, size, offset and type is checked before it is used. Values stay views into the
// file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/files/files.h"
#include "model/files/dequantise.h"
#include "model/files/weights.h"
#include "model/llama_config.h"

namespace retrace::model {

enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

// A scalar (count 1) or an array of one type. `raw`: the bytes of the numbers; `strings`: of the strings.
struct GgufValue {
  GgufType type = GgufType::u8;
  bool is_array = false;
  uint64_t count = 0;
  std::string_view raw;
  std::vector<std::string_view> strings;
};

struct GgufTensor {
  std::vector<int64_t> shape;  // as in HF: rows first (the file has the reverse)
  const BlockFormat* format = nullptr;
  std::string_view bytes;

  int64_t row_elements() const { return shape.back(); }
  int64_t row_bytes() const { return row_elements() / format->block_elements * format->block_bytes; }
};

class GgufFile {
 public:
  explicit GgufFile(const fs::path& path);  // Error{corrupt} names the broken rule and the offset
  // The same over bytes in memory, which must outlive it.
  GgufFile(std::string_view bytes, const std::string& where);

  const GgufValue* find(const std::string& key) const;  // null if absent
  // Typed access. Error{corrupt} if the key is absent (first form) or of another type.
  int64_t integer(const std::string& key) const;
  int64_t integer_or(const std::string& key, int64_t fallback) const;
  double number_or(const std::string& key, double fallback) const;
  bool flag_or(const std::string& key, bool fallback) const;
  std::string text(const std::string& key) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  const std::vector<std::string_view>& texts(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;

  const std::map<std::string, GgufTensor>& tensors() const { return tensors_; }
  const std::string& where() const { return where_; }

 private:
  class Reader;
  void parse(std::string_view bytes);
  int64_t number_at(const std::string& key, const GgufValue& value, uint64_t index) const;
  const GgufValue& need(const std::string& key) const;

  std::string where_;
  std::optional<MappedFile> file_;
  std::map<std::string, GgufValue> metadata_;
  std::map<std::string, GgufTensor> tensors_;
};

// The shape of a llama model. Error{input} names what Retrace does not run.
LlamaConfig llama_config_of(const GgufFile& file);
// Its weights under HF names, dequantised, the rows of q_proj and k_proj back in HF's order. `file` must
// outlive it.
std::unique_ptr<WeightSource> gguf_weights(const GgufFile& file, const LlamaConfig& config);
// Its tokenizer as the files of a HF folder: name and bytes.
std::vector<std::pair<std::string, std::string>> tokenizer_files_of(const GgufFile& file);
// All of it: a HF folder. dtype: float32 or bfloat16.
void import_gguf(const fs::path& file, const fs::path& folder, const std::string& dtype);

}  // namespace retrace::model
