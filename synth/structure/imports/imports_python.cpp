// Python: import statements by the language's own search rules, with the roots that a checkout offers.
#include <algorithm>
#include <set>

#include "synth/paths.h"
#include "synth/structure/imports/imports.h"

namespace retrace::synth {

namespace {

std::string without_space(std::string_view text) {
  std::string joined(text);
  joined.erase(
      std::remove_if(joined.begin(), joined.end(),
                     [](char c) { return c == ' ' || c == '\t' || c == '\\' || c == '\n' || c == '\r'; }),
      joined.end());
  return joined;
}

// Function-local, conditional and TYPE_CHECKING imports need not have run when the module loads.
bool is_soft(const std::vector<TSNode>& ancestors) {
  for (const TSNode& ancestor : ancestors)
    for (std::string_view type : {"function_definition", "if_statement", "try_statement", "with_statement",
                                  "match_statement", "for_statement", "while_statement", "lambda"})
      if (is(ancestor, type)) return true;
  return false;
}

std::string import_name(TSNode node, std::string_view text) {
  const TSNode name = is(node, "aliased_import") ? field(node, "name") : node;
  return without_space(node_text(name, text));
}

void extract_from(TSNode node, std::string_view text, bool hard, ExtractedImports* extracted) {
  ImportSite site;
  site.form = "from";
  site.hard = hard;
  site.line = node_line(node);
  const TSNode module = field(node, "module_name");
  site.target = without_space(node_text(module, text));
  for (TSNode child : named_children(node)) {
    if (ts_node_eq(child, module)) continue;
    if (is(child, "wildcard_import")) site.names.emplace_back("*");
    if (is(child, "dotted_name") || is(child, "aliased_import"))
      site.names.push_back(import_name(child, text));
  }
  if (!site.target.empty()) extracted->imports.push_back(std::move(site));
}

class PythonResolver {
 public:
  PythonResolver(const FileIndex& index, EdgeSink* sink) : index_(index), sink_(*sink) {
    std::set<std::string> parents;
    for (const auto& folder : index.folders())
      if (is_package(folder)) parents.insert(top_package_parent(folder));
    for (const char* root : {"", "src", "lib", "python"})
      if (index.has_folder(root)) roots_.emplace_back(root);
    for (const auto& parent : parents)
      if (std::find(roots_.begin(), roots_.end(), parent) == roots_.end()) roots_.push_back(parent);
    root_is_package_ = is_package("");
    origin_ = std::string(path_stem(index.snapshot().origin));
    if (const size_t dash = origin_.find('-'); dash != origin_.npos) origin_.resize(dash);
  }

  void resolve(int file, const ImportSite& site) {
    std::string folder, module = site.target;
    if (site.target[0] == '.') {
      if (!relative_base(file, &module, &folder)) return sink_.unresolved();
      follow(file, site, join_path(folder, slashes(module)), true);
      return;
    }
    const auto roots = roots_for(file, top_name(module));
    const std::string top = slashes(top_name(module));
    for (const std::string& root : roots)
      if (module_file(join_path(root, top)) >= 0)
        return follow(file, site, join_path(root, slashes(module)), false, root);
    for (const std::string& root : roots)  // a namespace package gives way to a module anywhere on the path
      if (has_python(join_path(root, top)))
        return follow(file, site, join_path(root, slashes(module)), false, root);
    if (root_is_package_ && top_name(module) == origin_)
      return follow(file, site, module == origin_ ? "" : slashes(module.substr(origin_.size() + 1)), true);
    sink_.external();
  }

 private:
  static std::string top_name(const std::string& module) { return module.substr(0, module.find('.')); }
  static std::string slashes(std::string module) {
    std::replace(module.begin(), module.end(), '.', '/');
    return module;
  }

  bool is_package(std::string_view folder) const {
    return index_.find(join_path(folder, "__init__.py")) >= 0 ||
           index_.find(join_path(folder, "__init__.pyi")) >= 0;
  }

  std::string top_package_parent(std::string folder) const {
    while (!folder.empty() && is_package(folder)) folder = std::string(path_folder(folder));
    return folder;
  }

  // The file that a module path ("a/b", "" for a package at the root) loads, -1 if none.
  int module_file(const std::string& path) const {
    const int package = package_file(path);  // a package hides a module of the same name
    if (package >= 0 || path.empty()) return package;
    for (const char* suffix : {".py", ".pyi", ".pyw"})
      if (const int file = index_.find(path + suffix); file >= 0) return file;
    return -1;
  }
  int package_file(const std::string& path) const {
    const int file = index_.find(join_path(path, "__init__.py"));
    return file >= 0 ? file : index_.find(join_path(path, "__init__.pyi"));
  }

  // A namespace package counts only if it holds Python: "docs" or "data" is no module.
  bool has_python(const std::string& folder) const {
    if (!index_.has_folder(folder)) return false;
    const std::string inside = folder + "/";
    const auto& files = index_.snapshot().files;
    auto file = std::lower_bound(files.begin(), files.end(), inside,
                                 [](const SourceFile& a, const std::string& path) { return a.path < path; });
    for (; file != files.end() && file->path.compare(0, inside.size(), inside) == 0; ++file)
      if (file->language == "python") return true;
    return false;
  }

  // Where Python would look, nearest first: beside a script, above the file's own package, then the usual
  // roots. A standard module is shadowed only by what stands in the first two.
  std::vector<std::string> roots_for(int file, const std::string& top) const {
    const std::string folder(path_folder(index_.file(file).path));
    std::vector<std::string> roots;
    if (!is_package(folder)) roots.push_back(folder);
    roots.push_back(top_package_parent(folder));
    if (is_python_standard_module(top)) return roots;
    for (std::string up = roots.back(); !up.empty();) {
      up = std::string(path_folder(up));
      if (!is_package(up)) roots.push_back(up);
    }
    roots.insert(roots.end(), roots_.begin(), roots_.end());
    return roots;
  }

  // "..a.b" of pkg/sub/m.py: folder "pkg", module "a.b".
  bool relative_base(int file, std::string* module, std::string* folder) const {
    const size_t dots = std::min(module->find_first_not_of('.'), module->size());
    module->erase(0, dots);
    *folder = std::string(path_folder(index_.file(file).path));
    for (size_t i = 1; i < dots; ++i) {
      if (folder->empty()) return false;
      *folder = std::string(path_folder(*folder));
    }
    return true;
  }

  // Edges for a module path that lies in the tree. `import a.b.c` goes to the longest prefix that is a file;
  // a from-import to each submodule that it names, and to the module itself for its other names.
  void follow(int file, const ImportSite& site, const std::string& path, bool relative,
              const std::string& root = "") {
    const int module = module_file(path);
    if (site.form == "import") {
      if (module >= 0) return sink_.add(file, module, site);
      if (has_python(path)) return;  // a namespace package alone loads no file
      return follow_prefix(file, site, path, root);
    }
    bool found = false, attribute = false;
    for (const auto& name : site.names) {
      const int submodule = name == "*" ? -1 : module_file(join_path(path, name));
      const bool is_folder = name != "*" && submodule < 0 && module < 0 && has_python(join_path(path, name));
      if (submodule >= 0 && (module < 0 || module == package_file(path))) {
        sink_.add_name(file, submodule, site, name);
        found = true;
      } else if (module >= 0) {
        sink_.add_name(file, module, site, name);
        attribute = true;
      } else {
        found = found || is_folder;
      }
    }
    if (!found && !attribute) {
      if (relative)
        sink_.unresolved();
      else
        follow_prefix(file, site, path, root);
    }
  }

  void follow_prefix(int file, const ImportSite& site, std::string path, const std::string& root) {
    sink_.unresolved();
    while (path.size() > root.size() && !path.empty()) {
      path = std::string(path_folder(path));
      if (path.size() <= root.size()) return;
      if (const int module = module_file(path); module >= 0) return sink_.add(file, module, site);
    }
  }

  const FileIndex& index_;
  EdgeSink& sink_;
  std::vector<std::string> roots_;
  bool root_is_package_ = false;
  std::string origin_;
};

}  // namespace

void extract_python(const SyntaxTree& tree, ExtractedImports* extracted) {
  Mentions mentions(tree.text(), {"import"});
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    if (!mentions.in(node)) return false;
    if (is(node, "import_statement")) {
      for (TSNode child : named_children(node)) {
        ImportSite site;
        site.form = "import";
        site.target = import_name(child, tree.text());
        site.line = node_line(node);
        site.hard = !is_soft(ancestors);
        if (!site.target.empty() && (is(child, "dotted_name") || is(child, "aliased_import")))
          extracted->imports.push_back(std::move(site));
      }
      return false;
    }
    if (is(node, "import_from_statement")) {
      extract_from(node, tree.text(), !is_soft(ancestors), extracted);
      return false;
    }
    return true;
  });
}

void resolve_python(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink) {
  PythonResolver resolver(index, sink);
  for (size_t i = 0; i < extracted.size(); ++i) {
    const int file = static_cast<int>(i);
    if (index.file(file).language != "python") continue;
    for (const auto& site : extracted[i].imports) resolver.resolve(file, site);
    const std::string& path = index.file(file).path;
    if (path_extension(path) == ".pyi")  // a stub describes the module of its name
      if (const int module = index.find(path.substr(0, path.size() - 1)); module >= 0)
        sink->soft_link(file, module);
  }
}

}  // namespace retrace::synth
