#include "data/tokenizer/ascii_scan.h"

#include <array>
#include <cstdint>

#include "data/tokenizer/pretokenizer.h"

namespace retrace::data {
namespace {

enum Class : uint8_t {
  kLetter = 1,
  kDigit = 2,
  kBlank = 4,
  kNewline = 8,
  kOther = 16,
  kBeyond = 32,
  kEnd = 64
};
constexpr int kSpace = kBlank | kNewline;  // \s

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> table{};
  for (int c = 0; c < 256; ++c) {
    if (c >= 0x80)
      table[static_cast<size_t>(c)] = kBeyond;
    else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
      table[static_cast<size_t>(c)] = kLetter;
    else if (c >= '0' && c <= '9')
      table[static_cast<size_t>(c)] = kDigit;
    else if (c == '\n' || c == '\r')
      table[static_cast<size_t>(c)] = kNewline;
    else if (c == ' ' || (c >= '\t' && c <= '\r'))
      table[static_cast<size_t>(c)] = kBlank;
    else
      table[static_cast<size_t>(c)] = kOther;
  }
  return table;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

struct Cursor {
  const char* data;
  size_t size;

  uint8_t at(size_t i) const {
    return i < size ? kClasses[static_cast<unsigned char>(data[i])] : uint8_t{kEnd};
  }
  size_t run(size_t i, int classes) const {
    while (i < size && (kClasses[static_cast<unsigned char>(data[i])] & classes)) ++i;
    return i;
  }
  // The run's end, or 0 if a byte beyond ASCII stops it: it might belong to the run.
  size_t closed(size_t i, int classes) const {
    const size_t end = run(i, classes);
    return at(end) == kBeyond ? 0 : end;
  }
};

// After an apostrophe at `i`: the end of 's 't 're 've 'm 'll 'd; 0 if it is none of them.
size_t contraction(const Cursor& text, size_t i, bool any_case) {
  const auto letter = [&](size_t k) {
    const char c = k < text.size ? text.data[k] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(i + 1), second = letter(i + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return i + 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
    return i + 3;
  return 0;
}

// White space from `i` on: all of it at the end of the text; else without its last character, which goes
// with what follows, unless it is the only one.
size_t blanks(const Cursor& text, size_t i, size_t end) {
  if (end == text.size || end == i + 1) return end;
  return end - 1;
}

// The run of other characters from `i` on, with the line ends behind it if `newlines`.
size_t others(const Cursor& text, size_t i, bool newlines) {
  const size_t end = text.closed(i, kOther);
  return end == 0 || !newlines ? end : text.run(end, kNewline);
}

}  // namespace

size_t scan_llama3(std::string_view bytes, size_t from) {
  const Cursor text{bytes.data(), bytes.size()};
  const uint8_t here = text.at(from), next = text.at(from + 1);
  if (here == kLetter) return text.closed(from + 1, kLetter);
  if (here == kBeyond) return 0;
  if (here == kDigit) {
    size_t end = from + 1;
    while (end < from + 3 && text.at(end) == kDigit) ++end;
    return end < from + 3 && text.at(end) == kBeyond ? 0 : end;
  }
  if (next == kBeyond) return 0;
  if (here == kOther) {
    if (bytes[from] == '\'') {
      if (text.at(from + 2) == kBeyond) return 0;
      if (const size_t end = contraction(text, from, true)) return end;
    }
    return next == kLetter ? text.closed(from + 1, kLetter) : others(text, from, true);
  }
  if (here == kBlank && next == kLetter) return text.closed(from + 1, kLetter);
  if (bytes[from] == ' ' && next == kOther) return others(text, from + 1, true);
  const size_t end = text.closed(from, kSpace);
  if (end == 0) return 0;
  for (size_t i = end; i > from; --i)
    if (text.at(i - 1) == kNewline) return i;
  return blanks(text, from, end);
}

size_t scan_gpt2(std::string_view bytes, size_t from) {
  const Cursor text{bytes.data(), bytes.size()};
  const uint8_t here = text.at(from), next = text.at(from + 1);
  if (here == kBeyond) return 0;
  if (here == kOther && bytes[from] == '\'')
    if (const size_t end = contraction(text, from, false)) return end;
  if (here & (kLetter | kDigit | kOther)) return text.closed(from, here);
  if (next == kBeyond) return 0;
  if (bytes[from] == ' ' && (next & (kLetter | kDigit | kOther))) return text.closed(from + 1, next);
  const size_t end = text.closed(from, kSpace);
  return end == 0 ? 0 : blanks(text, from, end);
}

AsciiScan ascii_scan_of(std::string_view pattern) {
  if (pattern == kLlama3Pattern) return scan_llama3;
  if (pattern == kGpt2Pattern) return scan_gpt2;
  return nullptr;
}

}  // namespace retrace::data
