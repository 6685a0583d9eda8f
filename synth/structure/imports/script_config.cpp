#include "synth/structure/imports/script_config.h"

#include "core/error.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

constexpr int kMaxExtends = 8;

Json parsed(std::string_view text, const std::string& path) {
  try {
    return parse_json(text, path, {1 << 20, 64});
  } catch (const Error&) {
    return Json();  // a stranger's broken file says nothing
  }
}

// What the part of a pattern under "*" is, or nothing if it does not fit.
std::optional<std::string> matched(const std::string& pattern, const std::string& name) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) return pattern == name ? std::optional<std::string>("") : std::nullopt;
  const std::string_view before = std::string_view(pattern).substr(0, star),
                         after = std::string_view(pattern).substr(star + 1);
  const std::string_view text = name;
  if (text.size() < before.size() + after.size() || text.substr(0, before.size()) != before ||
      text.substr(text.size() - after.size()) != after)
    return std::nullopt;
  return std::string(text.substr(before.size(), text.size() - before.size() - after.size()));
}

std::string with_star(std::string target, const std::string& part) {
  for (size_t star = target.find('*'); star != target.npos; star = target.find('*', star + part.size()))
    target.replace(star, 1, part);
  return target;
}

// Every target that some condition leads to: types first, then as written, those of `other` (the condition of
// who does not ask) last.
void collect(const Json& value, const std::string& part, const char* other,
             std::vector<std::string>* targets) {
  std::vector<const Json*> waiting{&value};
  while (!waiting.empty()) {
    const Json& one = *waiting.back();
    waiting.pop_back();
    if (one.is_string()) targets->push_back(with_star(one.get<std::string>(), part));
    if (!one.is_object() && !one.is_array()) continue;
    std::vector<const Json*> inner;
    if (one.is_object() && one.contains("types")) inner.push_back(&one["types"]);
    for (const auto& [key, item] : one.items())
      if (key != other) inner.push_back(&item);
    if (one.is_object() && one.contains(other)) inner.push_back(&one[other]);
    waiting.insert(waiting.end(), inner.rbegin(), inner.rend());
  }
}

}  // namespace

std::string strict_json(std::string_view text) {
  std::string strict;
  size_t comma = strict.npos;  // a comma that only space and comments follow so far
  for (size_t i = text.substr(0, 3) == "\xEF\xBB\xBF" ? 3 : 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '/' && text.substr(i, 2) == "//") {
      i = std::min(text.find('\n', i), text.size()) - 1;
      continue;
    }
    if (c == '/' && text.substr(i, 2) == "/*") {
      const size_t end = text.find("*/", i + 2);
      i = end == text.npos ? text.size() : end + 1;
      continue;
    }
    if ((c == '}' || c == ']') && comma != strict.npos) strict[comma] = ' ';
    if (c == ',')
      comma = strict.size();
    else if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
      comma = strict.npos;
    strict += c;
    if (c != '"') continue;
    for (++i; i < text.size(); ++i) {
      strict += text[i];
      if (text[i] == '\\' && i + 1 < text.size())
        strict += text[++i];
      else if (text[i] == '"')
        break;
    }
  }
  return strict;
}

std::vector<std::string> mapped_targets(const Json& table, const std::string& key, bool required) {
  const char* other = required ? "import" : "require";
  std::vector<std::string> targets;
  const bool is_table = table.is_object() && !table.empty() &&
                        (table.begin().key().substr(0, 1) == "." || table.begin().key().substr(0, 1) == "#");
  if (!is_table) {
    if (key == ".") collect(table, "", other, &targets);
    return targets;
  }
  size_t best = 0;
  const Json* chosen = nullptr;
  std::string part;
  for (const auto& [pattern, value] :
       table.items())  // the longest part before "*" wins, a plain key above all
    if (const auto found = matched(pattern, key)) {
      const size_t weight = pattern.find('*') == pattern.npos ? pattern.size() + 4096 : pattern.find('*') + 1;
      if (weight > best) best = weight, chosen = &value, part = *found;
    }
  if (chosen != nullptr) collect(*chosen, part, other, &targets);
  return targets;
}

CompilerOptions ScriptConfigs::load(const std::string& path, int depth) {
  CompilerOptions options;
  const int file = index_.find(path);
  if (file < 0 || depth > kMaxExtends) return options;
  const std::string folder(path_folder(path));
  const Json json = parsed(strict_json(index_.file(file).content), path);
  if (!json.is_object()) return options;
  std::vector<std::string> bases;
  if (json.contains("extends") && json["extends"].is_string())
    bases.push_back(json["extends"].get<std::string>());
  if (json.contains("extends") && json["extends"].is_array())
    for (const auto& base : json["extends"])
      if (base.is_string()) bases.push_back(base.get<std::string>());
  for (const auto& base : bases) {
    std::string target;
    if (base.substr(0, 1) != "." || !normalise_path(join_path(folder, base), &target)) continue;
    for (const std::string& candidate : {target, target + ".json"})
      if (index_.find(candidate) >= 0) {
        options = load(candidate, depth + 1);
        break;
      }
  }
  options.folder = folder;
  const Json compiler = json.contains("compilerOptions") ? json["compilerOptions"] : Json();
  if (!compiler.is_object()) return options;
  auto folder_of = [&](const char* key, std::string* result) {
    if (!compiler.contains(key) || !compiler[key].is_string()) return false;
    return normalise_path(join_path(folder, compiler[key].get<std::string>()), result);
  };
  std::string base_url;
  if (folder_of("baseUrl", &base_url)) options.base_url = base_url;
  folder_of("outDir", &options.out_dir);
  folder_of("rootDir", &options.root_dir);
  if (compiler.contains("paths") && compiler["paths"].is_object()) {
    options.paths.clear();
    options.paths_base = options.base_url.value_or(folder);
    for (const auto& [pattern, targets] : compiler["paths"].items()) {
      std::vector<std::string> list;
      if (targets.is_array())
        for (const auto& target : targets)
          if (target.is_string()) list.push_back(target.get<std::string>());
      options.paths.emplace_back(pattern, std::move(list));
    }
  }
  return options;
}

const CompilerOptions& ScriptConfigs::options_for(std::string_view path) {
  std::string folder(path_folder(path));
  for (;;) {
    for (const char* name : {"tsconfig.json", "jsconfig.json"}) {
      const std::string config = join_path(folder, name);
      if (index_.find(config) < 0) continue;
      const auto known = options_.find(folder);
      return known != options_.end() ? known->second : options_[folder] = load(config, 0);
    }
    if (folder.empty()) break;
    folder = std::string(path_folder(folder));
  }
  static const CompilerOptions none;
  return none;
}

const Json& ScriptConfigs::manifest(const std::string& folder) {
  const auto known = manifests_.find(folder);
  if (known != manifests_.end()) return known->second;
  const std::string path = join_path(folder, "package.json");
  const int file = index_.find(path);
  return manifests_[folder] = file < 0 ? Json() : parsed(index_.file(file).content, path);
}

bool ScriptConfigs::package_above(std::string_view path, std::string* folder) const {
  for (*folder = std::string(path_folder(path));; *folder = std::string(path_folder(*folder))) {
    if (index_.find(join_path(*folder, "package.json")) >= 0) return true;
    if (folder->empty()) return false;
  }
}

}  // namespace retrace::synth
