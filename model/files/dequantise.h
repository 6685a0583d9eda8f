// GGML's block formats to fp32, each by its published formula. A format is one line in the table.
#pragma once

#include <cstdint>
#include <string>

namespace retrace::model {

struct BlockFormat {
  uint32_t id;  // as in a GGUF file
  const char* name;
  int64_t block_elements, block_bytes;
  void (*dequantise)(const char* block, float* out);  // one block; null = known by name only
};

// Null for an id that is not in the table.
const BlockFormat* block_format(uint32_t id);
// "F32, F16, ...": what can be read.
std::string readable_formats();

// `blocks` consecutive blocks.
void dequantise(const BlockFormat& format, const char* bytes, int64_t blocks, float* out);

}  // namespace retrace::model
