#include "data/tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "data/utf8.h"

namespace retrace::data {

namespace {

constexpr int kNumStrangers = 68;  // bytes without a printable Latin-1 character

bool prints_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> spelling;
  std::array<int16_t, 256 + kNumStrangers> byte_of;  // by code point; -1 = none
  Alphabet() {
    byte_of.fill(-1);
    int next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const int code = prints_itself(byte) ? byte : next++;
      append_utf8(static_cast<char32_t>(code), spelling[static_cast<size_t>(byte)]);
      byte_of[static_cast<size_t>(code)] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet table;
  return table;
}

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  for (unsigned char byte : bytes) out += alphabet().spelling[byte];
  return out;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    if (point.value >= alphabet().byte_of.size() || alphabet().byte_of[point.value] < 0) return std::nullopt;
    out += static_cast<char>(alphabet().byte_of[point.value]);
    text.remove_prefix(point.size_bytes);
  }
  return out;
}

}  // namespace retrace::data
