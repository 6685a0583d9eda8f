#include "core/recipe/recipe.h"

#include <algorithm>

#include "core/files/files.h"
#include "core/hash.h"
#include "core/recipe/recipe_value.h"
#include "core/recipe/toml_reader.h"
#include "core/text.h"

namespace retrace {

using toml_reader::Node;
using toml_reader::Table;

namespace {

constexpr const char* kCommandLine = "command line";

std::string did_you_mean(const std::string& near) {
  return near.empty() ? "" : fmt::format("did you mean '{}'?", near);
}

const Section* find_section(const Schema& schema, const std::string& name) {
  for (const Section& section : schema.sections())
    if (section.name == name) return &section;
  return nullptr;
}

[[noreturn]] void unknown_section(const Schema& schema, const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const Section& section : schema.sections()) names.push_back(section.name);
  const std::string near = nearest_word(name, names);
  throw Error(Code::recipe, fmt::format("unknown section '{}'", name),
              near.empty() ? "sections: " + join(names, ", ") : did_you_mean(near), where);
}

[[noreturn]] void unknown_key(const Schema& schema, const std::string& name, const std::string& where) {
  const std::string near = schema.nearest(name);
  const std::string section = name.substr(0, name.find('.'));
  const bool known_section = find_section(schema, section) != nullptr;
  throw Error(Code::recipe, fmt::format("unknown key '{}'", name),
              !near.empty()   ? did_you_mean(near)
              : known_section ? fmt::format("'retrace help {}' lists the keys of this section", section)
                              : "'retrace help WORD' searches all keys",
              where);
}

bool is_mark(const std::string& word) {
  return word == "paper" || word == "ProLong" || word == "assumed";
}

}  // namespace

const Key* Schema::find(const std::string& full_name) const {
  for (const Section& section : sections_)
    for (const Key& key : section.keys)
      if (key.full() == full_name) return &key;
  return nullptr;
}

std::string Schema::nearest(const std::string& full_name) const {
  const size_t dot = full_name.find('.');
  const std::string section = dot == std::string::npos ? "" : full_name.substr(0, dot);
  const std::string name = dot == std::string::npos ? full_name : full_name.substr(dot + 1);
  std::vector<std::string> all, here, elsewhere;
  for (const Section& each : sections_) {
    for (const Key& key : each.keys) {
      all.push_back(key.full());
      if (each.name == section) here.push_back(key.name);
      if (key.name == name) elsewhere.push_back(key.full());
    }
  }
  if (const std::string near = nearest_word(name, here); !near.empty()) return section + "." + near;
  if (!elsewhere.empty()) return elsewhere.front();
  return nearest_word(full_name, all);
}

Recipe::Recipe(const Schema& schema) : schema_(&schema) {
  for (const Section& section : schema.sections())
    for (const Key& key : section.keys) values_[key.full()] = key.default_value;
}

Recipe Recipe::load(const Schema& schema, const fs::path& path, const std::vector<Override>& overrides) {
  Recipe recipe(schema);
  recipe.path_ = path;
  std::vector<fs::path> chain;
  recipe.load_file(path, chain);
  for (const Override& override : overrides) recipe.set(override);
  return recipe;
}

void Recipe::load_file(const fs::path& path, std::vector<fs::path>& chain) {
  constexpr uint64_t kMaxRecipeBytes = uint64_t{16} << 20;
  const std::string file = path.string();
  const std::string text = [&] {
    try {
      return read_file(path, kMaxRecipeBytes);
    } catch (const Error& error) {
      if (error.code() != Code::input) throw;
      throw Error(Code::recipe, error.message(), "the first argument is a recipe (a TOML file)");
    }
  }();
  const Node root = toml_reader::parse(text, file);
  chain.push_back(fs::weakly_canonical(path));
  const Table& sections = std::get<Table>(root.value);

  for (const auto& [name, node] : sections) {
    if (name != "base") continue;
    const auto* base = std::get_if<std::string>(&node.value);
    if (base == nullptr)
      throw Error(Code::recipe, fmt::format("base must be a string, not {}", toml_reader::kind_name(node)),
                  "base = \"other.toml\", relative to this file", node.where);
    const fs::path base_path = path.parent_path() / *base;
    if (std::find(chain.begin(), chain.end(), fs::weakly_canonical(base_path)) != chain.end())
      throw Error(Code::recipe, fmt::format("base '{}' leads back to itself", *base), "", node.where);
    std::error_code error;
    if (!fs::is_regular_file(base_path, error))
      throw Error(Code::recipe, fmt::format("base '{}' is not there", base_path.string()),
                  "the path is relative to the recipe that names it", node.where);
    load_file(base_path, chain);
  }

  for (const auto& [name, node] : sections) {
    if (name == "base") continue;
    const auto* keys = std::get_if<Table>(&node.value);
    const Section* section = find_section(*schema_, name);
    if (keys == nullptr) {
      if (section != nullptr)
        throw Error(Code::recipe,
                    fmt::format("'{}' is a section, not {}", name, toml_reader::kind_name(node)),
                    fmt::format("write [{}] on a line of its own and the keys below it", name), node.where);
      throw Error(Code::recipe, fmt::format("unknown key '{}'", name),
                  schema_->nearest(name).empty() ? "keys stand in sections; only 'base' stands above them"
                                                 : did_you_mean(schema_->nearest(name)),
                  node.where);
    }
    if (section == nullptr) unknown_section(*schema_, name, node.where);
    for (const auto& [key_name, value_node] : *keys) {
      const std::string full_name = name + "." + key_name;
      const Key* key = schema_->find(full_name);
      if (key == nullptr) unknown_key(*schema_, full_name, value_node.where);
      set_value(full_name, recipe_value::from_node(*key, value_node, value(full_name)), value_node.where);
      if (is_mark(value_node.comment_word)) marks_[full_name] = value_node.comment_word;
    }
  }
}

void Recipe::set(const Override& override) {
  const Key* key = schema_->find(override.key);
  if (key != nullptr) {
    set_value(override.key, recipe_value::from_text(*key, override.value, value(override.key), kCommandLine),
              kCommandLine);
    return;
  }
  const size_t first_dot = override.key.find('.');
  const size_t second_dot =
      first_dot == std::string::npos ? first_dot : override.key.find('.', first_dot + 1);
  const Key* table =
      second_dot == std::string::npos ? nullptr : schema_->find(override.key.substr(0, second_dot));
  if (table != nullptr && std::holds_alternative<std::map<std::string, double>>(table->default_value)) {
    Key entry = *table;
    entry.name = override.key.substr(first_dot + 1);
    entry.default_value = double{0};
    auto entries = std::get<std::map<std::string, double>>(value(table->full()));
    entries[override.key.substr(second_dot + 1)] =
        std::get<double>(recipe_value::from_text(entry, override.value, double{0}, kCommandLine));
    set_value(table->full(), entries, kCommandLine);
    return;
  }
  const std::string section = override.key.substr(0, first_dot);
  if (first_dot != std::string::npos && find_section(*schema_, section) == nullptr &&
      schema_->nearest(override.key).empty())
    unknown_section(*schema_, section, kCommandLine);
  unknown_key(*schema_, override.key, kCommandLine);
}

void Recipe::set_value(const std::string& full_name, Value value, const std::string& where) {
  const Key* key = schema_->find(full_name);
  if (key == nullptr) unknown_key(*schema_, full_name, where);
  recipe_value::check(*key, value, where);
  values_[full_name] = std::move(value);
  set_at_[full_name] = where;
  marks_.erase(full_name);
}

const Value& Recipe::value(const std::string& full_name) const {
  const auto found = values_.find(full_name);
  if (found == values_.end()) fail(Code::internal, "no section declares the key '{}'", full_name);
  return found->second;
}

bool Recipe::is_set(const std::string& full_name) const {
  return set_at_.count(full_name) > 0;
}

std::string Recipe::mark(const std::string& full_name) const {
  const auto found = marks_.find(full_name);
  return found == marks_.end() ? "" : found->second;
}

std::string Recipe::dump(bool with_marks, bool with_run_and_debug) const {
  std::string out;
  for (const Section& section : schema_->sections()) {
    if (!with_run_and_debug && (section.name == "run" || section.name == "debug")) continue;
    out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section.name);
    for (const Key& key : section.keys) {
      out += fmt::format("{} = {}", key.name, value_text(value(key.full())));
      if (const std::string note = mark(key.full()); with_marks && !note.empty()) out += "  # " + note;
      out += '\n';
    }
  }
  return out;
}

std::string Recipe::to_toml() const {
  return dump(true, true);
}

std::string Recipe::fingerprint() const {
  const bool seeded = schema_->find("run.seed") != nullptr;
  return sha256_hex(dump(false, false) + (seeded ? "run.seed = " + value_text(value("run.seed")) : ""));
}

}  // namespace retrace
