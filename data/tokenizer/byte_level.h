// GPT-2's printable alphabet: each byte stands for one code point, so that vocabularies can be kept as JSON
// text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace retrace::data {

// The byte-level spelling of bytes: printable Latin-1 bytes stand for themselves, the others for U+0100 and
// up.
std::string to_byte_level(std::string_view bytes);
// The bytes of a byte-level spelling; nothing if it holds a code point that stands for no byte.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace retrace::data
