#include "eval/scoring/count_words.h"

#include <string_view>

#include "core/text.h"
#include "data/utf8.h"

namespace retrace::eval {
namespace {

bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

}  // namespace

int64_t count_words(const std::string& text) {
  const std::string valid = utf8_lossy(text);
  std::string_view rest = valid;
  int64_t pieces = 1;
  bool in_space = false;
  while (!rest.empty()) {
    const auto point = data::first_code_point(rest);
    rest.remove_prefix(point.size_bytes);
    const bool space = is_python_space(point.value);
    if (space && !in_space) ++pieces;
    in_space = space;
  }
  return pieces;
}

}  // namespace retrace::eval
