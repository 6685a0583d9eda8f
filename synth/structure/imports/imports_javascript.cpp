// JavaScript and TypeScript: relative paths with the extensions that may be left out, folders by package.json
// or index, aliases and base folders of tsconfig, "#" imports, and the names of packages inside the tree by
// their exports.
#include <algorithm>

#include "synth/paths.h"
#include "synth/structure/imports/imports.h"
#include "synth/structure/imports/script_config.h"

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
  ScriptResolver(const FileIndex& index, EdgeSink* sink) : index_(index), sink_(*sink), configs_(index) {
    for (int manifest : index.named("package.json")) {
      const std::string folder(path_folder(index.file(manifest).path));
      if (std::string name = text_of(configs_.manifest(folder), "name"); !name.empty())
        packages_.try_emplace(name, folder);
    }
  }

  void resolve(int file, const ImportSite& site) {
    const std::string& target = site.target;
    const std::string& from = index_.file(file).path;
    const bool required = site.form == "require";
    std::string path;
    if (target[0] == '.') {
      const bool inside = normalise_path(join_path(path_folder(from), target), &path);
      int found = inside ? load(path) : -1;
      if (std::string folder; found < 0 && inside && configs_.package_above(path, &folder))
        found = load_source(folder, path);
      return finish(file, site, found);
    }
    if (target[0] == '/') return sink_.unresolved();
    if (const int aliased = by_alias(from, target); aliased >= 0) return sink_.add(file, aliased, site);
    if (target[0] == '#') {
      std::string folder;
      if (!configs_.package_above(from, &folder)) return sink_.unresolved();
      const Json& manifest = configs_.manifest(folder);
      return finish(file, site,
                    manifest.is_object() && manifest.contains("imports")
                        ? first_of(folder, mapped_targets(manifest["imports"], target, required))
                        : -1);
    }
    size_t cut = target.find('/');
    if (target[0] == '@' && cut != target.npos) cut = target.find('/', cut + 1);
    const auto package = packages_.find(target.substr(0, cut));
    if (package == packages_.end()) return sink_.external();
    const std::string rest = cut == target.npos ? "" : target.substr(cut + 1);
    finish(file, site, in_package(package->second, rest, required));
  }

 private:
  static std::string text_of(const Json& json, const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>()
                                                                           : "";
  }

  void finish(int file, const ImportSite& site, int found) {
    return found >= 0 ? sink_.add(file, found, site) : sink_.unresolved();
  }

  // paths, then baseUrl, of the compiler options that hold for `from`.
  int by_alias(const std::string& from, const std::string& target) {
    const CompilerOptions& options = configs_.options_for(from);
    if (!options.paths.empty()) {
      Json table = Json::object();
      for (const auto& [pattern, targets] : options.paths) table["#" + pattern] = targets;
      for (const auto& one : mapped_targets(table, "#" + target, false)) {
        std::string path;
        if (!normalise_path(join_path(options.paths_base, one), &path)) continue;
        if (const int found = load(path); found >= 0) return found;
      }
    }
    std::string path;
    if (!options.base_url || target[0] == '#') return -1;
    return normalise_path(join_path(*options.base_url, target), &path) ? load(path) : -1;
  }

  int in_package(const std::string& folder, const std::string& rest, bool required) {
    const Json& manifest = configs_.manifest(folder);
    if (manifest.is_object() && manifest.contains("exports")) {
      const auto targets = mapped_targets(manifest["exports"], rest.empty() ? "." : "./" + rest, required);
      if (const int found = first_of(folder, targets); found >= 0) return found;
    }
    if (rest.empty()) return load_folder(folder);
    const std::string path = join_path(folder, rest);
    const int found = load(path);
    return found >= 0 ? found : load_source(folder, path);
  }

  int first_of(const std::string& folder, const std::vector<std::string>& targets) {
    for (const auto& target : targets) {
      std::string path;
      if (target.substr(0, 1) != "." || !normalise_path(join_path(folder, target), &path)) continue;
      if (const int found = load_file(path); found >= 0) return found;
      if (const int found = load_source(folder, path); found >= 0) return found;
    }
    return -1;
  }

  bool is_typed(int file) const { return index_.file(file).language != "javascript"; }

  // The source of a file that the compiler writes into outDir.
  int load_source(const std::string& folder, const std::string& built) {
    const CompilerOptions& options = configs_.options_for(built);
    const std::string& out = options.out_dir;
    if (out.empty() || built.compare(0, out.size() + 1, out + "/") != 0) return -1;
    std::string rest = built.substr(out.size() + 1);
    if (rest.size() > 5 && rest.compare(rest.size() - 5, 5, ".d.ts") == 0)
      rest.replace(rest.size() - 5, 5, ".js");
    for (const std::string& root : {options.root_dir, join_path(folder, "src"), options.folder})
      if (!root.empty() || &root != &options.root_dir)
        if (const int found = load_file(join_path(root, rest)); found >= 0 && is_typed(found)) return found;
    return -1;
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

  int load_folder(const std::string& folder) {
    const Json& manifest = configs_.manifest(folder);
    for (const char* key : {"types", "typings", "main", "module"}) {
      std::string path;
      const std::string main = text_of(manifest, key);
      if (main.empty() || !normalise_path(join_path(folder, main), &path)) continue;
      if (const int found = load_file(path); found >= 0) return found;
      if (const int found = load_file(join_path(path, "index")); found >= 0) return found;
      if (const int found = load_source(folder, path); found >= 0) return found;
    }
    return load_file(join_path(folder, "index"));
  }

  int load(const std::string& path) {
    if (const int found = path.empty() ? -1 : load_file(path); found >= 0) return found;
    return index_.has_folder(path) ? load_folder(path) : -1;
  }

  const FileIndex& index_;
  EdgeSink& sink_;
  ScriptConfigs configs_;
  std::map<std::string, std::string> packages_;  // name -> folder
};

}  // namespace

void extract_javascript(const SyntaxTree& tree, ExtractedImports* extracted) {
  const std::string_view text = tree.text();
  auto add = [&](TSNode at, TSNode source, bool hard, std::vector<std::string> names) {
    ImportSite site;
    site.target = unquoted(node_text(source, text));
    site.line = node_line(at);
    site.hard = hard;
    site.names = std::move(names);
    if (!site.target.empty()) extracted->imports.push_back(std::move(site));
  };
  Mentions mentions(text, {"import", "export", "require"});
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    if (!mentions.in(node)) return false;
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
      if (called == "require" && is(argument, "string")) {
        add(node, argument, !inside_function(ancestors), {});
        if (!extracted->imports.empty()) extracted->imports.back().form = "require";
      }
    }
    return true;
  });
}

void resolve_javascript(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink) {
  ScriptResolver resolver(index, sink);
  for (size_t i = 0; i < extracted.size(); ++i) {
    const int file = static_cast<int>(i);
    const std::string& language = index.file(file).language;
    if (language == "javascript" || language == "typescript" || language == "tsx")
      for (const auto& site : extracted[i].imports) resolver.resolve(file, site);
  }
}

}  // namespace retrace::synth
