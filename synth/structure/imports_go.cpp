// Go: an import names a folder of the nearest module; files of one package need no import and are linked by
// the names they use. `replace` and go.work are not read.
#include <algorithm>

#include "synth/input/paths.h"
#include "synth/structure/imports.h"

namespace retrace::synth {

namespace {

struct Module {
  std::string path, folder;
};

std::string module_path(std::string_view manifest) {
  for (size_t begin = 0; begin < manifest.size();) {
    const size_t end = std::min(manifest.find('\n', begin), manifest.size());
    std::string_view line = manifest.substr(begin, end - begin);
    begin = end + 1;
    if (line.substr(0, 7) != "module " && line.substr(0, 7) != "module\t") continue;
    line.remove_prefix(7);
    line = line.substr(0, line.find("//"));
    const size_t first = line.find_first_not_of(" \t\"`"), last = line.find_last_not_of(" \t\r\"`");
    if (first != line.npos) return std::string(line.substr(first, last - first + 1));
  }
  return "";
}

bool is_test_file(std::string_view path) {
  return path_stem(path).size() > 5 && path.find("_test.go") != path.npos;
}

}  // namespace

void extract_go(const SyntaxTree& tree, FileFacts* facts) {
  const std::string_view text = tree.text();
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    const std::string_view type = node_type(node);
    if (type == "package_clause") {
      facts->package = std::string(node_text(ts_node_named_child(node, 0), text));
      return false;
    }
    if (type == "import_spec") {
      ImportSite site;
      const std::string_view literal = node_text(field(node, "path"), text);
      if (literal.size() > 2) site.target = std::string(literal.substr(1, literal.size() - 2));
      site.line = node_line(node);
      if (!site.target.empty()) facts->imports.push_back(std::move(site));
      return false;
    }
    const bool top = ancestors.size() == 1 ||
                     (ancestors.size() == 2 && type.size() > 5 && type.substr(type.size() - 5) == "_spec");
    if (top && type != "method_declaration")
      if (const TSNode name = field(node, "name"); !ts_node_is_null(name))
        facts->declared.emplace_back(node_text(name, text));
    if (type == "identifier" || type == "type_identifier") facts->identifiers.emplace(node_text(node, text));
    return true;
  });
}

void resolve_go(const FileIndex& index, const AllFacts& facts, EdgeSink* sink) {
  std::vector<Module> modules;
  for (int manifest : index.named("go.mod"))
    if (std::string path = module_path(index.file(manifest).content); !path.empty())
      modules.push_back({path, std::string(path_folder(index.file(manifest).path))});
  std::sort(modules.begin(), modules.end(),
            [](const Module& a, const Module& b) { return a.path.size() > b.path.size(); });
  auto resolve = [&](int file, const ImportSite& site) {
    for (const auto& module : modules) {
      const bool same = site.target == module.path;
      if (!same && site.target.compare(0, module.path.size() + 1, module.path + "/") != 0) continue;
      const std::string folder =
          same ? module.folder : join_path(module.folder, site.target.substr(module.path.size() + 1));
      bool found = false;
      for (int other : index.in_folder(folder)) {
        const auto& candidate = index.file(other);
        if (candidate.language != "go" || is_test_file(candidate.path)) continue;
        sink->add(file, other, site);
        found = true;
      }
      return found ? void() : sink->unresolved();
    }
    sink->external();
  };
  for (size_t i = 0; i < facts.size(); ++i)
    if (index.file(static_cast<int>(i)).language == "go")
      for (const auto& site : facts[i].imports) resolve(static_cast<int>(i), site);
  for (const auto& folder : index.folders()) {
    std::vector<int> package;
    for (int file : index.in_folder(folder))
      if (index.file(file).language == "go") package.push_back(file);
    link_same_package(index, facts, package, sink);
  }
}

}  // namespace retrace::synth
