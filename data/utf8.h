// UTF-8 over arbitrary bytes: where valid text ends, and code points of valid text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace retrace::data {

// Length in bytes of the longest valid prefix (no overlong forms, no surrogates, nothing above U+10FFFF).
size_t valid_utf8_prefix(std::string_view bytes);
// Length in bytes of the run of invalid bytes in front: up to the next place where a valid sequence starts.
size_t invalid_utf8_prefix(std::string_view bytes);

struct CodePoint {
  char32_t value;
  size_t size_bytes;
};
// First code point of valid, non-empty text.
CodePoint first_code_point(std::string_view text);
void append_utf8(char32_t value, std::string& out);

}  // namespace retrace::data
