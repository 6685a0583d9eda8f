#include "core/recipe/recipe_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace retrace::recipe_value {

using toml_reader::Array;
using toml_reader::Node;
using toml_reader::Table;

namespace {

[[noreturn]] void wrong_type(const Key& key, const char* wanted, const Node& node) {
  throw Error(Code::recipe,
              fmt::format("{} must be {}, not {}", key.full(), wanted, toml_reader::kind_name(node)), "",
              node.where);
}

int64_t integer_of(const Key& key, const Node& node) {
  if (const auto* integer = std::get_if<int64_t>(&node.value)) return *integer;
  if (const auto* number = std::get_if<double>(&node.value)) {
    constexpr double kExact = 9007199254740992;  // 2^53
    if (*number == std::floor(*number) && std::abs(*number) <= kExact) return static_cast<int64_t>(*number);
    throw Error(Code::recipe, fmt::format("{} must be an integer, not {}", key.full(), *number), "",
                node.where);
  }
  if (const auto* text = std::get_if<std::string>(&node.value)) {
    int64_t out = 0;
    if (parse_integer(*text, out)) return out;
    throw Error(Code::recipe, fmt::format("{} must be an integer, not '{}'", key.full(), *text),
                "suffixes are k, M, G (powers of 1000) and Ki, Mi, Gi (powers of 1024)", node.where);
  }
  wrong_type(key, "an integer", node);
}

double number_of(const Key& key, const Node& node) {
  if (const auto* number = std::get_if<double>(&node.value)) return *number;
  if (const auto* integer = std::get_if<int64_t>(&node.value)) return static_cast<double>(*integer);
  wrong_type(key, "a number", node);
}

std::string string_of(const Key& key, const Node& node) {
  if (const auto* text = std::get_if<std::string>(&node.value)) return *text;
  wrong_type(key, "a string", node);
}

template <class T, class Convert>
std::vector<T> list_of(const Key& key, const Node& node, Convert convert) {
  std::vector<T> out;
  if (const auto* array = std::get_if<Array>(&node.value)) {
    for (const Node& child : *array) out.push_back(convert(key, child));
  } else {
    out.push_back(convert(key, node));
  }
  return out;
}

// The parts of "[a, b]", without quotes around them, or the text itself as the only part.
std::vector<std::string> list_parts(const std::string& text) {
  const std::string_view trimmed = trim(text);
  if (trimmed.size() < 2 || trimmed.front() != '[' || trimmed.back() != ']') return {std::string(text)};
  std::vector<std::string> parts;
  const std::string_view inside = trim(trimmed.substr(1, trimmed.size() - 2));
  if (inside.empty()) return parts;
  for (std::string_view part : split(inside, ',')) {
    part = trim(part);
    const bool quoted =
        part.size() >= 2 && part.front() == part.back() && (part.front() == '"' || part.front() == '\'');
    parts.emplace_back(quoted ? part.substr(1, part.size() - 2) : part);
  }
  if (parts.back().empty()) parts.pop_back();  // "[a, b,]"
  return parts;
}

void check_number(const Key& key, double value, const std::string& shown, const std::string& where) {
  if (!std::isfinite(value))
    throw Error(Code::recipe, fmt::format("{} must be finite, not {}", key.full(), shown), "", where);
  if (value < key.low || value > key.high)
    throw Error(Code::recipe, fmt::format("{} = {} is out of range", key.full(), shown),
                "allowed: " + limits_text(key), where);
}

void check_string(const Key& key, const std::string& value, const std::string& where) {
  if (!is_valid_utf8(value))
    throw Error(Code::recipe, fmt::format("{} is not valid UTF-8: '{}'", key.full(), utf8_lossy(value)), "",
                where);
  if (value.find('\0') != std::string::npos)
    throw Error(Code::recipe, fmt::format("{} holds a NUL character", key.full()), "", where);
  if (key.allowed.empty()) return;
  if (std::find(key.allowed.begin(), key.allowed.end(), value) != key.allowed.end()) return;
  const std::string near = nearest_word(value, key.allowed);
  throw Error(Code::recipe,
              fmt::format("{} = '{}' is not one of {}", key.full(), value, join(key.allowed, ", ")),
              near.empty() ? "" : fmt::format("did you mean '{}'?", near), where);
}

struct Checker {
  const Key& key;
  const std::string& where;

  void operator()(bool) const {}
  void operator()(int64_t value) const {
    check_number(key, static_cast<double>(value), fmt::to_string(value), where);
  }
  void operator()(double value) const { check_number(key, value, fmt::format("{}", value), where); }
  void operator()(const std::string& value) const { check_string(key, value, where); }
  void operator()(const std::map<std::string, double>& entries) const {
    for (const auto& [name, value] : entries) {
      check_string(Key{key.section, key.name, "", "", 0, 0, {}, {}}, name, where);
      check_number(key, value, fmt::format("{} ({})", value, name), where);
    }
  }
  template <class T>
  void operator()(const std::vector<T>& values) const {
    for (const T& value : values) (*this)(value);
  }
};

}  // namespace

bool parse_integer(std::string_view text, int64_t& out) {
  text = trim(text);
  int64_t factor = 1;
  const std::pair<const char*, int64_t> suffixes[] = {{"Ki", int64_t{1} << 10}, {"Mi", int64_t{1} << 20},
                                                      {"Gi", int64_t{1} << 30}, {"k", 1'000},
                                                      {"M", 1'000'000},         {"G", 1'000'000'000}};
  for (const auto& [suffix, value] : suffixes) {
    if (!text.ends_with(suffix)) continue;
    factor = value;
    text.remove_suffix(std::string_view(suffix).size());
    break;
  }
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = i > 0 && i + 1 < text.size() && text[i - 1] != '_';
    if (text[i] == '_' && between) continue;
    if (i == 0 && text[i] == '+' && text.size() > 1 && text[1] != '-') continue;
    digits += text[i];
  }
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return false;
  return !__builtin_mul_overflow(number, factor, &out);
}

Value from_node(const Key& key, const Node& node, const Value& current) {
  switch (key.default_value.index()) {
    case 0:
      if (const auto* boolean = std::get_if<bool>(&node.value)) return *boolean;
      wrong_type(key, "true or false", node);
    case 1:
      return integer_of(key, node);
    case 2:
      return number_of(key, node);
    case 3:
      return string_of(key, node);
    case 4:
      return list_of<int64_t>(key, node, integer_of);
    case 5:
      return list_of<double>(key, node, number_of);
    case 6:
      return list_of<std::string>(key, node, string_of);
    default: {
      const auto* table = std::get_if<Table>(&node.value);
      if (table == nullptr) wrong_type(key, "a table of numbers", node);
      auto merged = std::get<std::map<std::string, double>>(current);
      for (const auto& [name, value] : *table) {
        Key entry = key;
        entry.name += "." + name;
        merged[name] = number_of(entry, value);
      }
      return merged;
    }
  }
}

Value from_text(const Key& key, const std::string& text, const Value& current, const std::string& where) {
  if (std::holds_alternative<std::string>(key.default_value)) return text;
  if (std::holds_alternative<std::vector<std::string>>(key.default_value)) {
    Node node;
    const bool is_array = toml_reader::parse_value(text, where, node) && node.value.index() == 5;
    const auto* array = is_array ? std::get_if<Array>(&node.value) : nullptr;
    const auto is_string = [](const Node& child) { return std::holds_alternative<std::string>(child.value); };
    if (array != nullptr && std::all_of(array->begin(), array->end(), is_string))
      return from_node(key, node, current);
    return list_parts(text);
  }
  Node node;
  if (toml_reader::parse_value(text, where, node)) return from_node(key, node, current);
  Array parts;
  for (const std::string& part : list_parts(text)) {
    Node child;
    if (!toml_reader::parse_value(part, where, child)) child.value = part;
    child.where = where;
    parts.push_back(std::move(child));
  }
  node.where = where;
  if (trim(text).starts_with('['))
    node.value = std::move(parts);
  else
    node.value = text;
  return from_node(key, node, current);
}

void check(const Key& key, const Value& value, const std::string& where) {
  if (value.index() != key.default_value.index())
    throw Error(
        Code::recipe,
        fmt::format("{} must be {}, not {}", key.full(), type_name(key.default_value), type_name(value)), "",
        where);
  std::visit(Checker{key, where}, value);
}

const char* type_name(const Value& value) {
  constexpr const char* kNames[] = {"boolean",         "integer",          "number",
                                    "string",          "list of integers", "list of numbers",
                                    "list of strings", "table of numbers"};
  return kNames[value.index()];
}

std::string limits_text(const Key& key) {
  if (!key.allowed.empty()) return join(key.allowed, " | ");
  const bool low = std::isfinite(key.low), high = std::isfinite(key.high);
  if (low && high) return fmt::format("{} to {}", key.low, key.high);
  if (low) return fmt::format("at least {}", key.low);
  if (high) return fmt::format("at most {}", key.high);
  return "";
}

}  // namespace retrace::recipe_value
