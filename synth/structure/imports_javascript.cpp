// JavaScript and TypeScript: relative paths with the extensions that may be left out, folders by package.json
// or index, and the names of packages inside the tree. Path aliases of tsconfig and "#" imports are not
// resolved.
#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "synth/input/paths.h"
#include "synth/structure/imports.h"

namespace retrace::synth {

namespace {

std::string unquoted(std::string_view literal) {
  return literal.size() >= 2 ? std::string(literal.substr(1, literal.size() - 2)) : "";
}

bool inside_function(const std::vector<TSNode>& ancestors) {
  return std::any_of(ancestors.begin(), ancestors.end(), [](TSNode node) {
    return is(node, "function_declaration") || is(node, "arrow_function") ||
           is(node, "function_expression") || is(node, "method_definition") || is(node, "if_statement") ||
           is(node, "try_statement");
  });
}

std::vector<std::string> imported_names(TSNode statement, std::string_view text) {
  std::vector<std::string> names;
  walk(statement, [&](TSNode node, const std::vector<TSNode>&) {
    if (is(node, "import_specifier") || is(node, "export_specifier")) {
      names.emplace_back(node_text(field(node, "name"), text));
      return false;
    }
    if (is(node, "namespace_import")) names.emplace_back("*");
    if (is(node, "import_clause") && is(ts_node_named_child(node, 0), "identifier"))
      names.emplace_back("default");
    return !is(node, "declaration") && !is(node, "statement_block");
  });
  return names;
}

class ScriptResolver {
 public:
  ScriptResolver(const FileIndex& index, EdgeSink* sink) : index_(index), sink_(*sink) {
    for (int manifest : index.named("package.json")) {
      const std::string folder(path_folder(index.file(manifest).path));
      if (std::string name = manifest_text(manifest, "name"); !name.empty())
        packages_.try_emplace(name, folder);
    }
  }

  void resolve(int file, const ImportSite& site) {
    const std::string& target = site.target;
    std::string path;
    if (target[0] == '.') {
      const bool inside = normalise_path(join_path(path_folder(index_.file(file).path), target), &path);
      const int found = inside ? load(path) : -1;
      return found >= 0 ? sink_.add(file, found, site) : sink_.unresolved();
    }
    if (target[0] == '#' || target[0] == '/') return sink_.unresolved();
    size_t cut = target.find('/');
    if (target[0] == '@' && cut != target.npos) cut = target.find('/', cut + 1);
    const auto package = packages_.find(target.substr(0, cut));
    if (package == packages_.end()) return sink_.external();
    const std::string rest = cut == target.npos ? "" : target.substr(cut + 1);
    const int found = rest.empty() ? load_folder(package->second) : load(join_path(package->second, rest));
    return found >= 0 ? sink_.add(file, found, site) : sink_.unresolved();
  }

 private:
  std::string manifest_text(int manifest, const char* key) const {
    try {
      const Json json = parse_json(index_.file(manifest).content, index_.file(manifest).path, {1 << 20, 64});
      if (json.is_object() && json.contains(key) && json[key].is_string())
        return json[key].get<std::string>();
    } catch (const Error&) {
      return "";  // a stranger's broken manifest names no package
    }
    return "";
  }

  int load_file(const std::string& path) const {
    if (const int found = index_.find(path); found >= 0) return found;
    for (const char* extension :
         {".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".json"})
      if (const int found = index_.find(path + extension); found >= 0) return found;
    // TypeScript sources name the file that the compiler will make.
    static const std::vector<std::pair<std::string, std::vector<std::string>>> made = {
        {".js", {".ts", ".tsx", ".d.ts"}},
        {".jsx", {".tsx"}},
        {".mjs", {".mts", ".d.mts"}},
        {".cjs", {".cts", ".d.cts"}}};
    for (const auto& [extension, sources] : made) {
      if (path_extension(path) != extension) continue;
      const std::string stem = path.substr(0, path.size() - extension.size());
      for (const auto& source : sources)
        if (const int found = index_.find(stem + source); found >= 0) return found;
    }
    return -1;
  }

  int load_folder(const std::string& folder) const {
    if (const int manifest = index_.find(join_path(folder, "package.json")); manifest >= 0)
      for (const char* key : {"types", "main", "module"}) {
        std::string path;
        const std::string main = manifest_text(manifest, key);
        if (main.empty() || !normalise_path(join_path(folder, main), &path)) continue;
        if (const int found = load_file(path); found >= 0) return found;
        if (const int found = load_file(join_path(path, "index")); found >= 0) return found;
      }
    return load_file(join_path(folder, "index"));
  }

  int load(const std::string& path) const {
    if (const int found = path.empty() ? -1 : load_file(path); found >= 0) return found;
    return index_.has_folder(path) ? load_folder(path) : -1;
  }

  const FileIndex& index_;
  EdgeSink& sink_;
  std::map<std::string, std::string> packages_;  // name -> folder
};

}  // namespace

void extract_javascript(const SyntaxTree& tree, ImportFacts* facts) {
  const std::string_view text = tree.text();
  auto add = [&](TSNode at, TSNode source, bool hard, std::vector<std::string> names) {
    ImportSite site;
    site.target = unquoted(node_text(source, text));
    site.line = node_line(at);
    site.hard = hard;
    site.names = std::move(names);
    if (!site.target.empty()) facts->imports.push_back(std::move(site));
  };
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    if (is(node, "import_statement") || is(node, "export_statement") || is(node, "import_require_clause")) {
      const TSNode source = field(node, "source");
      if (!is(source, "string")) return true;
      const std::string_view start = node_text(node, text);
      const bool type_only = start.substr(0, 12) == "import type " || start.substr(0, 12) == "export type ";
      add(node, source, !type_only, imported_names(node, text));
      return false;
    }
    if (is(node, "call_expression")) {
      const std::string_view called = node_text(field(node, "function"), text);
      const TSNode argument = ts_node_named_child(field(node, "arguments"), 0);
      if (called == "import" && is(argument, "string")) add(node, argument, false, {});
      if (called == "require" && is(argument, "string")) add(node, argument, !inside_function(ancestors), {});
    }
    return true;
  });
}

void resolve_javascript(const FileIndex& index, const AllFacts& facts, EdgeSink* sink) {
  ScriptResolver resolver(index, sink);
  for (size_t i = 0; i < facts.size(); ++i) {
    const int file = static_cast<int>(i);
    const std::string& language = index.file(file).language;
    if (language == "javascript" || language == "typescript" || language == "tsx")
      for (const auto& site : facts[i].imports) resolver.resolve(file, site);
  }
}

}  // namespace retrace::synth
