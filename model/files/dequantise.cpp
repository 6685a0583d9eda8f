#include "model/files/dequantise.h"

#include <cstring>

#include "core/error.h"
#include "model/float_bits.h"

namespace retrace::model {

namespace {

uint8_t byte_at(const char* bytes, int i) {
  return static_cast<uint8_t>(bytes[i]);
}
uint16_t u16_at(const char* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, 2);
  return value;
}
uint32_t u32_at(const char* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, 4);
  return value;
}
float half_at(const char* bytes) {
  return float_of_f16(u16_at(bytes));
}

void f32(const char* block, float* out) {
  std::memcpy(out, block, 4);
}
void f16(const char* block, float* out) {
  *out = half_at(block);
}
void bf16(const char* block, float* out) {
  *out = float_of_bf16(u16_at(block));
}

// 32 elements a block: element j in the low nibble of byte j, element j + 16 in the high one.
void q4_0(const char* block, float* out) {
  const float d = half_at(block);
  const char* q = block + 2;
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((byte_at(q, j) & 15) - 8) * d;
    out[j + 16] = static_cast<float>((byte_at(q, j) >> 4) - 8) * d;
  }
}

void q4_1(const char* block, float* out) {
  const float d = half_at(block), minimum = half_at(block + 2);
  const char* q = block + 4;
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(byte_at(q, j) & 15) * d + minimum;
    out[j + 16] = static_cast<float>(byte_at(q, j) >> 4) * d + minimum;
  }
}

// The fifth bit of element i is bit i of a 32-bit word.
int fifth_bit(uint32_t high, int i) {
  return static_cast<int>(high >> i & 1u) << 4;
}

void q5_0(const char* block, float* out) {
  const float d = half_at(block);
  const uint32_t high = u32_at(block + 2);
  const char* q = block + 6;
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(((byte_at(q, j) & 15) | fifth_bit(high, j)) - 16) * d;
    out[j + 16] = static_cast<float>((byte_at(q, j) >> 4 | fifth_bit(high, j + 16)) - 16) * d;
  }
}

void q5_1(const char* block, float* out) {
  const float d = half_at(block), minimum = half_at(block + 2);
  const uint32_t high = u32_at(block + 4);
  const char* q = block + 8;
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((byte_at(q, j) & 15) | fifth_bit(high, j)) * d + minimum;
    out[j + 16] = static_cast<float>(byte_at(q, j) >> 4 | fifth_bit(high, j + 16)) * d + minimum;
  }
}

void q8_0(const char* block, float* out) {
  const float d = half_at(block);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * d;
}

// The six-bit scale and minimum of sub-block i (of eight) in twelve packed bytes.
struct ScaleMin {
  float scale, minimum;
};
ScaleMin scale_min(const char* packed, int i, float d, float d_min) {
  int scale, minimum;
  if (i < 4) {
    scale = byte_at(packed, i) & 63;
    minimum = byte_at(packed, i + 4) & 63;
  } else {
    scale = (byte_at(packed, i + 4) & 15) | (byte_at(packed, i - 4) >> 6) << 4;
    minimum = byte_at(packed, i + 4) >> 4 | (byte_at(packed, i) >> 6) << 4;
  }
  return {d * static_cast<float>(scale), d_min * static_cast<float>(minimum)};
}

// 256 elements a block, in sub-blocks of 32; two of these share 32 bytes, one in each nibble.
void q4_k(const char* block, float* out) {
  const float d = half_at(block), d_min = half_at(block + 2);
  const char *packed = block + 4, *q = block + 16;
  for (int i = 0; i < 8; ++i) {
    const ScaleMin s = scale_min(packed, i, d, d_min);
    for (int j = 0; j < 32; ++j) {
      const int value = i % 2 == 0 ? byte_at(q, i / 2 * 32 + j) & 15 : byte_at(q, i / 2 * 32 + j) >> 4;
      out[i * 32 + j] = s.scale * static_cast<float>(value) - s.minimum;
    }
  }
}

// As q4_k, with the fifth bit of sub-block i in bit i of 32 further bytes.
void q5_k(const char* block, float* out) {
  const float d = half_at(block), d_min = half_at(block + 2);
  const char *packed = block + 4, *high = block + 16, *q = block + 48;
  for (int i = 0; i < 8; ++i) {
    const ScaleMin s = scale_min(packed, i, d, d_min);
    for (int j = 0; j < 32; ++j) {
      const int low = i % 2 == 0 ? byte_at(q, i / 2 * 32 + j) & 15 : byte_at(q, i / 2 * 32 + j) >> 4;
      const int value = low | (byte_at(high, j) >> i & 1) << 4;
      out[i * 32 + j] = s.scale * static_cast<float>(value) - s.minimum;
    }
  }
}

// Two halves of 128: low nibbles in 64 bytes, two high bits in 32, a signed scale for each 16 elements.
void q6_k(const char* block, float* out) {
  const float d = half_at(block + 208);
  for (int half = 0; half < 2; ++half) {
    const char *low = block + half * 64, *high = block + 128 + half * 32, *scales = block + 192 + half * 8;
    for (int i = 0; i < 128; ++i) {
      const int nibble = i < 64 ? byte_at(low, i) & 15 : byte_at(low, i - 64) >> 4;
      const int top = byte_at(high, i % 32) >> (i / 32 * 2) & 3;
      const float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
      out[half * 128 + i] = scale * static_cast<float>((nibble | top << 4) - 32);
    }
  }
}

constexpr BlockFormat kFormats[] = {
    {0, "F32", 1, 4, f32},           {1, "F16", 1, 2, f16},        {2, "Q4_0", 32, 18, q4_0},
    {3, "Q4_1", 32, 20, q4_1},       {6, "Q5_0", 32, 22, q5_0},    {7, "Q5_1", 32, 24, q5_1},
    {8, "Q8_0", 32, 34, q8_0},       {9, "Q8_1", 32, 36, nullptr}, {10, "Q2_K", 256, 84, nullptr},
    {11, "Q3_K", 256, 110, nullptr}, {12, "Q4_K", 256, 144, q4_k}, {13, "Q5_K", 256, 176, q5_k},
    {14, "Q6_K", 256, 210, q6_k},    {24, "I8", 1, 1, nullptr},    {25, "I16", 1, 2, nullptr},
    {26, "I32", 1, 4, nullptr},      {27, "I64", 1, 8, nullptr},   {28, "F64", 1, 8, nullptr},
    {30, "BF16", 1, 2, bf16}};

}  // namespace

const BlockFormat* block_format(uint32_t id) {
  for (const BlockFormat& format : kFormats)
    if (format.id == id) return &format;
  return nullptr;
}

std::string readable_formats() {
  std::string names;
  for (const BlockFormat& format : kFormats)
    if (format.dequantise != nullptr) names += (names.empty() ? "" : ", ") + std::string(format.name);
  return names;
}

void dequantise(const BlockFormat& format, const char* bytes, int64_t blocks, float* out) {
  ensure(format.dequantise != nullptr, "a tensor of this format can be read");
  for (int64_t i = 0; i < blocks; ++i)
    format.dequantise(bytes + i * format.block_bytes, out + i * format.block_elements);
}

}  // namespace retrace::model
