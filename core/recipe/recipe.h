// A recipe: TOML sections, `base` inheritance and overrides, checked against the sections that rooms declare.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/recipe/fields.h"

namespace retrace {

// All sections of the program, collected once in main.cpp.
class Schema {
 public:
  template <class... Structs>
  static Schema of() {
    Schema schema;
    (schema.sections_.push_back(describe<Structs>()), ...);
    return schema;
  }
  const std::vector<Section>& sections() const { return sections_; }
  const Key* find(const std::string& full_name) const;      // "optim.lr" or null
  std::string nearest(const std::string& full_name) const;  // closest known key, "" if none is close

 private:
  std::vector<Section> sections_;
};

struct Override {
  std::string key, value;  // value as written on the command line
};

class Recipe {
 public:
  // Defaults only.
  explicit Recipe(const Schema& schema);
  // Loads `path` (and its `base`), then overrides. Error{recipe} names file:line:column and the nearest key.
  // In a table of numbers, entries that are not named keep their value; `section.key.entry=1` sets one.
  // Integers accept the suffixes k, M, G (powers of 1000) and Ki, Mi, Gi on the command line and as TOML
  // strings.
  static Recipe load(const Schema& schema, const std::filesystem::path& path,
                     const std::vector<Override>& overrides);

  void set(const Override& override);  // as on the command line
  void set_value(const std::string& full_name, Value value,
                 const std::string& where);  // type- and range-checked
  const Value& value(const std::string& full_name) const;
  bool is_set(const std::string& full_name) const;  // by file or override, not by default
  // The note that follows a key in the recipe file as a comment "# paper", "# ProLong", "# assumed"; "" if
  // none. Whatever sets the key anew (a recipe on this base, an override) also sets or removes its mark.
  std::string mark(const std::string& full_name) const;

  // The struct of a section, filled.
  template <class Struct>
  Struct get() const;

  std::string to_toml()
      const;  // the resolved dump: every key, shortest round-trip numbers, readable by load()
  std::string fingerprint() const;  // SHA-256 of to_toml() without marks, [debug] and [run] (run.seed counts)
  const Schema& schema() const { return *schema_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  void load_file(const std::filesystem::path& path, std::vector<std::filesystem::path>& chain);
  std::string dump(bool with_marks, bool with_run_and_debug) const;
  const Schema* schema_;
  std::filesystem::path path_;
  std::map<std::string, Value> values_;
  std::map<std::string, std::string> set_at_;  // full name -> file:line:col or "command line"
  std::map<std::string, std::string> marks_;
};

// Instantiated where the struct's fields() is defined (ROOM/config.cpp), so that only that file compiles
// them.
template <class Struct>
Struct Recipe::get() const {
  Struct out{};
  std::apply(
      [&](const auto&... f) {
        ((out.*(f.member) = std::get<std::decay_t<decltype(out.*(f.member))>>(
              value(std::string(Struct::kSection) + "." + f.name))),
         ...);
      },
      Struct::fields());
  return out;
}

// Texts made from the schema.
std::string help_for_keys(const Schema& schema,
                          const std::string& word);  // one key, one section, or a search word
std::string reference_page(const Schema& schema);    // Markdown, all sections
std::string value_text(const Value& value);          // TOML form

}  // namespace retrace
