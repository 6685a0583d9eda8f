#include "core/recipe/toml_reader.h"

#include <toml++/toml.h>

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace retrace::toml_reader {

namespace {

class Converter {
 public:
  Converter(std::string_view text, std::string file) : lines_(split_lines(text)), file_(std::move(file)) {}

  Node convert(const toml::node& from) const {
    Node node;
    node.where = place(from.source().begin);
    node.comment_word = comment_word(from.source().end);
    if (const auto* table = from.as_table()) {
      std::vector<std::pair<toml::source_position, std::pair<std::string, Node>>> members;
      for (const auto& [key, value] : *table)
        members.push_back({key.source().begin, {std::string(key.str()), convert(value)}});
      std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
        return std::pair(a.first.line, a.first.column) < std::pair(b.first.line, b.first.column);
      });
      Table out;
      for (auto& member : members) out.push_back(std::move(member.second));
      node.value = std::move(out);
    } else if (const auto* array = from.as_array()) {
      Array out;
      for (const auto& value : *array) out.push_back(convert(value));
      node.value = std::move(out);
    } else if (const auto* text = from.as_string()) {
      node.value = text->get();
    } else if (const auto* integer = from.as_integer()) {
      node.value = integer->get();
    } else if (const auto* number = from.as_floating_point()) {
      node.value = number->get();
    } else if (const auto* boolean = from.as_boolean()) {
      node.value = boolean->get();
    }
    return node;
  }

  std::string place(const toml::source_position& position) const {
    return fmt::format("{}:{}:{}", file_, position.line, position.column);
  }

 private:
  std::string comment_word(const toml::source_position& end) const {
    if (end.line == 0 || end.line > lines_.size()) return "";
    std::string_view rest = lines_[end.line - 1];
    for (size_t column = 1; column < end.column && !rest.empty(); ++column)
      rest.remove_prefix(std::max<size_t>(1, utf8_sequence_bytes(rest)));
    rest = trim(rest);
    if (rest.empty() || rest[0] != '#') return "";
    rest = trim(rest.substr(1));
    return std::string(rest.substr(0, rest.find_first_of(" \t,;:.")));
  }

  std::vector<std::string_view> lines_;
  std::string file_;
};

}  // namespace

const char* kind_name(const Node& node) {
  constexpr const char* kNames[] = {"a date or time", "true or false", "an integer", "a number",
                                    "a string",       "an array",      "a table"};
  return kNames[node.value.index()];
}

Node parse(std::string_view text, const std::string& file) {
  const Converter converter(text, file);
  try {
    return converter.convert(toml::parse(text, file));
  } catch (const toml::parse_error& error) {
    throw Error(Code::recipe, "bad TOML: " + std::string(error.description()), "",
                converter.place(error.source().begin));
  }
}

bool parse_value(std::string_view text, const std::string& where, Node& out) {
  if (text.find_first_of("\r\n") != std::string_view::npos) return false;
  try {
    const toml::table table = toml::parse("v = " + std::string(text));
    if (table.size() != 1) return false;
    out = Converter("", where).convert(*table.get("v"));
  } catch (const toml::parse_error&) {
    return false;
  }
  const auto rename = [&where](auto&& self, Node& node) -> void {
    node.where = where;
    node.comment_word.clear();
    if (auto* array = std::get_if<Array>(&node.value))
      for (Node& child : *array) self(self, child);
    if (auto* table = std::get_if<Table>(&node.value))
      for (auto& member : *table) self(self, member.second);
  };
  rename(rename, out);
  return true;
}

}  // namespace retrace::toml_reader
