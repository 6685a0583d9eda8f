#include "core/base64.h"

#include <array>
#include <cstdint>

#include "core/error.h"

namespace retrace::synth {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < have ? static_cast<uint8_t>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) out += k <= have ? kAlphabet[group >> (18 - 6 * k) & 63U] : '=';
  }
  return out;
}

std::string from_base64(std::string_view text, const std::string& where) {
  if (text.size() % 4 != 0) throw Error(Code::corrupt, "base64 of a wrong length", "", where);
  std::string out;
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    size_t have = 4;
    for (size_t k = 0; k < 4; ++k) {
      const char c = text[i + k];
      const size_t value = kAlphabet.find(c);
      const bool padding = c == '=' && k >= 2 && i + 4 == text.size();
      if (padding) {
        have = std::min(have, k);
      } else if (value == std::string_view::npos || have < 4) {
        throw Error(Code::corrupt, "a character that is not base64", "", where);
      }
      group = group << 6 | (padding ? 0U : static_cast<uint32_t>(value));
    }
    for (size_t k = 0; k + 1 < have; ++k) out += static_cast<char>(group >> (16 - 8 * k) & 255U);
  }
  return out;
}

}  // namespace retrace::synth
