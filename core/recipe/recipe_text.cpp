// Texts made from the schema: TOML values, help, the reference page.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/recipe/recipe.h"
#include "core/recipe/recipe_value.h"
#include "core/text.h"

namespace retrace {

namespace {

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return replace_all(replace_all(text, "e-0", "e-"), "e+0", "e+");
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\u{:04X}", byte);
    else
      out += c;
  }
  return out + "\"";
}

std::string bare_or_quoted(const std::string& key) {
  const bool bare = !key.empty() && key.find_first_not_of(
                                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789_-") == std::string::npos;
  return bare ? key : quoted(key);
}

struct ValueWriter {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return fmt::to_string(value); }
  std::string operator()(double value) const { return number_text(value); }
  std::string operator()(const std::string& value) const { return quoted(value); }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    std::string out = "[";
    for (size_t i = 0; i < values.size(); ++i) out += (i > 0 ? ", " : "") + (*this)(values[i]);
    return out + "]";
  }
  std::string operator()(const std::map<std::string, double>& entries) const {
    if (entries.empty()) return "{}";
    std::string out = "{ ";
    for (const auto& [name, value] : entries) {
      if (out.size() > 2) out += ", ";
      out += bare_or_quoted(name) + " = " + number_text(value);
    }
    return out + " }";
  }
};

std::string type_and_unit(const Key& key) {
  const std::string type = recipe_value::type_name(key.default_value);
  return key.unit.empty() ? type : fmt::format("{} ({})", type, key.unit);
}

std::string key_block(const Key& key) {
  std::string out = fmt::format("{} = {}\n  {}\n  {}", key.full(), value_text(key.default_value), key.help,
                                type_and_unit(key));
  const std::string limits = recipe_value::limits_text(key);
  if (!limits.empty()) out += ", " + limits;
  return out + "\n";
}

std::string key_line(const Key& key, size_t name_width) {
  return fmt::format("  {:<{}}  {}\n", key.full(), name_width, key.help);
}

std::string key_lines(const std::vector<const Key*>& keys) {
  size_t width = 0;
  for (const Key* key : keys) width = std::max(width, key->full().size());
  std::string out;
  for (const Key* key : keys) out += key_line(*key, width);
  return out;
}

bool contains(const std::string& text, const std::string& lower_word) {
  return to_lower(text).find(lower_word) != std::string::npos;
}

std::string cell(const std::string& text) {
  return replace_all(replace_all(text, "|", "\\|"), "\n", " ");
}

}  // namespace

std::string value_text(const Value& value) {
  return std::visit(ValueWriter{}, value);
}

std::string help_for_keys(const Schema& schema, const std::string& word) {
  if (const Key* key = schema.find(word)) return key_block(*key);
  for (const Section& section : schema.sections()) {
    if (section.name != word) continue;
    std::string out = fmt::format("[{}] {}\n\n", section.name, section.about);
    for (const Key& key : section.keys) out += key_block(key) + "\n";
    out.pop_back();
    return out;
  }
  const std::string lower = to_lower(word);
  std::vector<const Key*> found;
  for (const Section& section : schema.sections())
    for (const Key& key : section.keys)
      if (contains(key.full(), lower) || contains(key.help, lower)) found.push_back(&key);
  if (found.size() == 1) return key_block(*found.front());
  if (!found.empty()) return key_lines(found);
  const std::string near = schema.nearest(word);
  throw Error(Code::usage, fmt::format("no key, section or help text has '{}'", word),
              near.empty() ? "'retrace reference' prints all keys" : fmt::format("did you mean '{}'?", near));
}

std::string reference_page(const Schema& schema) {
  std::string out =
      "# Recipe reference\n\n"
      "Every key of every section. A recipe is a TOML file; `section.key=value` on the command line "
      "overrides "
      "it,\n"
      "and `base = \"other.toml\"` at its top inherits from another recipe. Integers accept the suffixes k, "
      "M, "
      "G (powers\n"
      "of 1000) and Ki, Mi, Gi (powers of 1024) on the command line and as strings.\n";
  for (const Section& section : schema.sections()) {
    out += fmt::format(
        "\n## [{}]\n\n{}\n\n| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n",
        section.name, section.about);
    for (const Key& key : section.keys)
      out += fmt::format("| `{}` | {} | `{}` | {} | {} |\n", key.name, type_and_unit(key),
                         cell(value_text(key.default_value)), cell(recipe_value::limits_text(key)),
                         cell(key.help));
  }
  return out;
}

}  // namespace retrace
