// What tsconfig.json, jsconfig.json and package.json say about module names: baseUrl and paths through
// `extends`, exports and imports with conditions and patterns, which source a built file comes from. Broken
// ones say nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "synth/structure/imports/imports.h"

namespace retrace::synth {

struct CompilerOptions {
  std::string folder;                   // of the file that says it
  std::optional<std::string> base_url;  // a folder of the tree
  std::string paths_base;               // what `paths` are relative to
  std::vector<std::pair<std::string, std::vector<std::string>>> paths;
  std::string out_dir, root_dir;  // folders of the tree; "" if not said
};

class ScriptConfigs {
 public:
  explicit ScriptConfigs(const FileIndex& index) : index_(index) {}

  // Of the nearest tsconfig.json or jsconfig.json above that path.
  const CompilerOptions& options_for(std::string_view path);
  // The package.json of a folder; null if there is none.
  const Json& manifest(const std::string& folder);
  // The nearest folder at or above that has a package.json; false if none.
  bool package_above(std::string_view path, std::string* folder) const;

 private:
  CompilerOptions load(const std::string& path, int depth);

  const FileIndex& index_;
  std::map<std::string, CompilerOptions> options_;  // by folder
  std::map<std::string, Json> manifests_;
};

// JSON with comments and trailing commas, made strict.
std::string strict_json(std::string_view text);
// The targets of `key` ("." or "./x" of exports, "#x" of imports): for require() or for import.
std::vector<std::string> mapped_targets(const Json& table, const std::string& key, bool required);

}  // namespace retrace::synth
