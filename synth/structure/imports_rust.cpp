// Rust: `mod` builds the module tree (soft edges, containment), `use` walks it (hard edges). Crates of the
// tree know each other by the names in their Cargo.toml. Paths written inside expressions are not read.
#include <algorithm>

#include "synth/input/paths.h"
#include "synth/structure/imports.h"

namespace retrace::synth {

namespace {

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find("::", begin), path.size());
    if (end > begin) parts.push_back(path.substr(begin, end - begin));
    begin = end + 2;
  }
  return parts;
}

std::string join_modules(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() ? a + b : a + "::" + b;
}

// `a::{b, c::{self, d as e}, f::*}` as full paths, iteratively: (node, prefix) pairs wait on a list.
std::vector<std::string> use_paths(TSNode argument, std::string_view text) {
  std::vector<std::string> paths;
  std::vector<std::pair<TSNode, std::string>> waiting{{argument, ""}};
  while (!waiting.empty()) {
    const auto [node, prefix] = waiting.back();
    waiting.pop_back();
    const std::string_view type = node_type(node);
    auto full = [&, p = prefix](TSNode part) { return join_modules(p, std::string(node_text(part, text))); };
    if (type == "scoped_use_list") {
      const TSNode path = field(node, "path");
      waiting.emplace_back(field(node, "list"), ts_node_is_null(path) ? prefix : full(path));
    } else if (type == "use_list") {
      const auto children = named_children(node);
      for (size_t i = children.size(); i-- > 0;) waiting.emplace_back(children[i], prefix);
    } else if (type == "use_as_clause") {
      waiting.emplace_back(field(node, "path"), prefix);
    } else if (type == "use_wildcard") {
      paths.push_back(ts_node_named_child_count(node) > 0 ? full(ts_node_named_child(node, 0)) : prefix);
    } else if (type == "self" && !prefix.empty()) {
      paths.push_back(prefix);
    } else if (type == "identifier" || type == "scoped_identifier" || type == "crate" || type == "self" ||
               type == "super") {
      paths.push_back(full(node));
    }
  }
  for (auto& path : paths)
    path.erase(
        std::remove_if(path.begin(), path.end(), [](char c) { return c == ' ' || c == '\n' || c == '\t'; }),
        path.end());
  return paths;
}

std::string inline_modules(const std::vector<TSNode>& ancestors, std::string_view text) {
  std::string inside;
  for (const TSNode& ancestor : ancestors)
    if (is(ancestor, "mod_item"))
      inside = join_modules(inside, std::string(node_text(field(ancestor, "name"), text)));
  return inside;
}

std::string package_name(std::string_view manifest) {
  const size_t section = manifest.find("[package]");
  if (section == manifest.npos) return "";
  size_t at = manifest.find("\nname", section);
  if (at == manifest.npos) return "";
  at = manifest.find('"', at);
  const size_t end = at == manifest.npos ? at : manifest.find('"', at + 1);
  if (end == manifest.npos) return "";
  std::string name(manifest.substr(at + 1, end - at - 1));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

struct Place {
  int crate = -1;
  std::string module;  // "" is the crate's root
};

class RustResolver {
 public:
  RustResolver(const FileIndex& index, const AllFacts& facts, EdgeSink* sink)
      : index_(index), facts_(facts), sink_(*sink), places_(facts.size()) {
    for (int manifest : index.named("Cargo.toml")) add_package(manifest);
  }

  void resolve_all() {
    for (size_t i = 0; i < facts_.size(); ++i) {
      if (index_.file(static_cast<int>(i)).language != "rust") continue;
      for (const auto& site : facts_[i].imports)
        if (site.form == "use") resolve_use(static_cast<int>(i), site);
    }
  }

 private:
  void add_package(int manifest) {
    const std::string folder(path_folder(index_.file(manifest).path));
    const std::string name = package_name(index_.file(manifest).content);
    if (const int lib = index_.find(join_path(folder, "src/lib.rs")); lib >= 0) {
      if (!name.empty()) libraries_.try_emplace(name, static_cast<int>(crates_.size()));
      add_crate(lib);
    }
    for (const char* root : {"src/main.rs", "build.rs"})
      if (const int file = index_.find(join_path(folder, root)); file >= 0) add_crate(file);
    for (const char* inner : {"src/bin", "tests", "examples", "benches"})
      for (int file : index_.in_folder(join_path(folder, inner)))
        if (index_.file(file).language == "rust") add_crate(file);
  }

  void add_crate(int root) {
    const int crate = static_cast<int>(crates_.size());
    crates_.emplace_back();
    crates_.back()[""] = root;
    std::vector<int> waiting{root};
    if (places_[static_cast<size_t>(root)].crate < 0) places_[static_cast<size_t>(root)] = {crate, ""};
    std::map<int, std::string> module_of{{root, ""}};
    for (size_t i = 0; i < waiting.size(); ++i) {
      const int file = waiting[i];
      for (const auto& site : facts_[static_cast<size_t>(file)].imports) {
        if (site.form != "mod") continue;
        const int child = module_file(file, file == root, site);
        if (child < 0) {
          sink_.unresolved();
          continue;
        }
        sink_.soft_link(file, child, site.line);
        const std::string module = join_modules(join_modules(module_of[file], site.names[0]), site.target);
        if (!module_of.try_emplace(child, module).second) continue;
        crates_.back()[module] = child;
        if (places_[static_cast<size_t>(child)].crate < 0)
          places_[static_cast<size_t>(child)] = {crate, module};
        waiting.push_back(child);
      }
    }
  }

  // `mod name;` in a root or mod.rs: beside it; elsewhere: in a folder named like the file.
  int module_file(int file, bool is_root, const ImportSite& site) const {
    const std::string& path = index_.file(file).path;
    const std::string folder(path_folder(path));
    if (!site.inside.empty()) {
      std::string written;
      return normalise_path(join_path(folder, site.inside), &written) ? index_.find(written) : -1;
    }
    std::string base = is_root || path_name(path) == "mod.rs" ? folder : join_path(folder, path_stem(path));
    for (const auto& part : split_path(site.names[0])) base = join_path(base, part);
    for (const std::string& candidate : {site.target + ".rs", site.target + "/mod.rs"})
      if (const int found = index_.find(join_path(base, candidate)); found >= 0) return found;
    return -1;
  }

  // The file of the longest prefix of `parts` that is a module, starting at `module`.
  int walk_modules(int crate, std::string module, const std::vector<std::string>& parts, size_t from) const {
    const auto& modules = crates_[static_cast<size_t>(crate)];
    int best = -1;
    if (const auto found = modules.find(module); found != modules.end()) best = found->second;
    for (size_t i = from; i < parts.size(); ++i) {
      module = join_modules(module, parts[i]);
      if (const auto found = modules.find(module); found != modules.end()) best = found->second;
    }
    return best;
  }

  void resolve_use(int file, const ImportSite& site) {
    const Place& place = places_[static_cast<size_t>(file)];
    const auto parts = split_path(site.target);
    if (parts.empty()) return sink_.unresolved();
    if (const auto library = libraries_.find(parts[0]);
        library != libraries_.end() && library->second != place.crate)
      return add(file, walk_modules(library->second, "", parts, 1), site, parts);
    if (place.crate < 0) return sink_.unresolved();  // a file that no `mod` reaches
    std::string module = join_modules(place.module, site.inside);
    size_t from = 0;
    if (parts[0] == "crate") {
      module.clear();
      from = 1;
    } else if (parts[0] == "self") {
      from = 1;
    } else if (parts[0] == "super") {
      for (; from < parts.size() && parts[from] == "super"; ++from) {
        const size_t cut = module.rfind("::");
        module = cut == module.npos ? "" : module.substr(0, cut);
      }
    } else if (crates_[static_cast<size_t>(place.crate)].count(join_modules(module, parts[0])) == 0) {
      return sink_.external();
    }
    add(file, walk_modules(place.crate, module, parts, from), site, parts);
  }

  void add(int file, int to, const ImportSite& site, const std::vector<std::string>& parts) {
    if (to < 0) return;  // an inline module of this very file
    sink_.add_name(file, to, site, parts.back());
  }

  const FileIndex& index_;
  const AllFacts& facts_;
  EdgeSink& sink_;
  std::vector<std::map<std::string, int>> crates_;  // module path -> file
  std::map<std::string, int> libraries_;            // name -> crate
  std::vector<Place> places_;
};

}  // namespace

void extract_rust(const SyntaxTree& tree, ImportFacts* facts) {
  const std::string_view text = tree.text();
  std::string path_attribute;
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    const std::string_view type = node_type(node);
    if (type == "attribute_item") {
      const std::string_view attribute = node_text(node, text);
      const size_t quote = attribute.find('"');
      if (attribute.substr(0, 6) == "#[path" && quote != attribute.npos)
        path_attribute = std::string(attribute.substr(quote + 1, attribute.rfind('"') - quote - 1));
      return false;
    }
    if (type == "mod_item") {
      if (ts_node_is_null(field(node, "body"))) {
        ImportSite site;
        site.form = "mod";
        site.hard = false;
        site.line = node_line(node);
        site.target = std::string(node_text(field(node, "name"), text));
        site.names = {inline_modules(ancestors, text)};
        site.inside = path_attribute;
        if (!site.target.empty()) facts->imports.push_back(std::move(site));
      }
      path_attribute.clear();
      return true;
    }
    if (type == "use_declaration") {
      const bool local = std::any_of(ancestors.begin(), ancestors.end(),
                                     [](TSNode ancestor) { return is(ancestor, "function_item"); });
      for (auto& path : use_paths(field(node, "argument"), text)) {
        ImportSite site;
        site.form = "use";
        site.hard = !local;
        site.line = node_line(node);
        site.target = std::move(path);
        site.inside = inline_modules(ancestors, text);
        if (!site.target.empty()) facts->imports.push_back(std::move(site));
      }
      return false;
    }
    return true;
  });
}

void resolve_rust(const FileIndex& index, const AllFacts& facts, EdgeSink* sink) {
  RustResolver(index, facts, sink).resolve_all();
}

}  // namespace retrace::synth
