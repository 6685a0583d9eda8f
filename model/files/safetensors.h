// Safetensors files: reading those of strangers by memory map with every rule of the format enforced, and
// writing. Promise: a file that opens has a table of tensors that tile its data exactly. No copy of a tensor
// is kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/files/files.h"
#include "core/json.h"

namespace retrace::model {

struct TensorEntry {
  std::string dtype;           // as in the file: "F32", "BF16", ...
  std::vector<int64_t> shape;  // empty = a scalar
  int64_t size = 0;            // elements
  std::string_view bytes;      // into the file
};

// The table of a file's bytes (views into them). Error{corrupt} names the broken rule and the tensor.
std::map<std::string, TensorEntry> parse_safetensors(std::string_view file, const std::string& where);

// Elements [begin, end) as fp32. Error{input} unless the dtype is F32, F16 or BF16.
void read_as_float(const TensorEntry& tensor, int64_t begin, int64_t end, float* out,
                   const std::string& name);

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);
  const std::map<std::string, TensorEntry>& tensors() const { return tensors_; }

 private:
  MappedFile file_;
  std::map<std::string, TensorEntry> tensors_;
};

// The files of a HF folder and which of them holds each tensor: model.safetensors, or the shards of its
// index. Error{corrupt} if the index names a file outside the folder, leaves a tensor out, names one twice or
// has another total_size.
class SafetensorsFolder {
 public:
  explicit SafetensorsFolder(const fs::path& folder);
  const std::map<std::string, const TensorEntry*>& tensors() const { return tensors_; }

 private:
  void open_index(const fs::path& folder, const fs::path& index);
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const TensorEntry*> tensors_;
};

// A file that a folder's own list names: a plain name, and no link that leaves the folder (but for the blobs
// of a hub cache). Error{corrupt} otherwise.
fs::path file_inside(const fs::path& folder, const std::string& name, const std::string& where);

// Header of a file that will hold these tensors one after another, in this order; padded to 8 bytes.
struct TensorPlan {
  std::string name, dtype;
  std::vector<int64_t> shape;
};
std::string safetensors_header(const std::vector<TensorPlan>& tensors);
// Bytes of a known dtype's element; 0 if the dtype is unknown.
uint64_t dtype_bytes(std::string_view dtype);

}  // namespace retrace::model
