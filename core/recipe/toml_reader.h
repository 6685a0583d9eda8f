// TOML text as plain values with positions and end-of-line comments. The only door to toml++, which is slow
// to compile. Dates and times have no use in recipes and come out as `Other`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace retrace::toml_reader {

struct Node;
struct Other {};
using Array = std::vector<Node>;
using Table = std::vector<std::pair<std::string, Node>>;  // in the order of the file

struct Node {
  std::variant<Other, bool, int64_t, double, std::string, Array, Table> value;
  std::string where;         // "file:line:col" of the value
  std::string comment_word;  // first word of the comment behind the value on its last line, "" if none
};

const char* kind_name(const Node& node);  // "a string", "an array", ...

// The root is a Table. Error{recipe} with file:line:col on bad syntax.
Node parse(std::string_view text, const std::string& file);
// A single value as written behind "key =". False if `text` is none.
bool parse_value(std::string_view text, const std::string& where, Node& out);

}  // namespace retrace::toml_reader
