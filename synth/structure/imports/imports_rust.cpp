// Rust: `mod` builds the module tree (soft edges, containment), `use` walks it through re-exports to the file
// that declares the name (hard edges; soft inside functions). Crates of the tree know each other by the names
// in their Cargo.toml. Of paths in code those that begin with crate, self or super are read (soft).
#include <algorithm>

#include "synth/paths.h"
#include "synth/structure/imports/imports.h"
#include "synth/structure/imports/rust_crates.h"

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

struct UsePath {
  std::string path, name;  // name: as it is called here, "*" for all
};

// `a::{b, c::{self, d as e}, f::*}` as full paths, iteratively: (node, prefix) pairs wait on a list.
std::vector<UsePath> use_paths(TSNode argument, std::string_view text) {
  std::vector<UsePath> paths;
  std::vector<std::pair<TSNode, std::string>> waiting{{argument, ""}};
  auto add = [&](std::string path, std::string name) {
    auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
    path.erase(std::remove_if(path.begin(), path.end(), is_space), path.end());
    if (name.empty()) name = path.substr(path.rfind(':') + 1);
    paths.push_back({std::move(path), std::move(name)});
  };
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
      const TSNode path = field(node, "path");
      add(is(path, "self") ? prefix : full(path), std::string(node_text(field(node, "alias"), text)));
    } else if (type == "use_wildcard") {
      add(ts_node_named_child_count(node) > 0 ? full(ts_node_named_child(node, 0)) : prefix, "*");
    } else if (type == "self" && !prefix.empty()) {
      add(prefix, "");
    } else if (type == "identifier" || type == "scoped_identifier" || type == "crate" || type == "self" ||
               type == "super") {
      add(full(node), "");
    }
  }
  return paths;
}

std::string inline_modules(const std::vector<TSNode>& ancestors, std::string_view text) {
  std::string inside;
  for (const TSNode& ancestor : ancestors)
    if (is(ancestor, "mod_item"))
      inside = join_modules(inside, std::string(node_text(field(ancestor, "name"), text)));
  return inside;
}

struct Place {
  int crate = -1;
  std::string module;  // "" is the crate's root
};

// What a path names: a module, or an item in `file`.
struct Found {
  int file = -1, crate = -1;
  std::string module;
  bool is_module = false, is_external = false;
};

class RustResolver {
 public:
  RustResolver(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink)
      : index_(index), extracted_(extracted), sink_(*sink), places_(extracted.size()) {
    packages_ = cargo_packages(index);
    for (size_t i = 0; i < packages_.size(); ++i)
      for (const auto& root : packages_[i].roots) {
        if (!root.library.empty()) libraries_.try_emplace(root.library, static_cast<int>(crates_.size()));
        add_crate(root.file, static_cast<int>(i));
      }
    // Crates whose manifest the tree lacks.
    for (const char* name : {"lib.rs", "main.rs"})
      for (int file : index.named(name))
        if (places_[at(file)].crate < 0) add_crate(file, -1);
  }

  void resolve_all() {
    for (size_t i = 0; i < extracted_.size(); ++i) {
      const int file = static_cast<int>(i);
      if (index_.file(file).language != "rust") continue;
      for (const auto& site : extracted_[i].imports)
        if (site.form != "mod") resolve_use(file, site);
      for (const auto& [path, line] : extracted_[i].qualified)
        if (const Found found = resolve(file, "", split_path(path)); found.file >= 0)
          sink_.soft_link(file, found.file, line);
    }
  }

 private:
  static size_t at(int i) { return static_cast<size_t>(i); }

  void add_crate(int root, int package) {
    const int crate = static_cast<int>(crates_.size());
    crates_.emplace_back();
    package_of_.push_back(package);
    std::vector<int> waiting{root};
    std::map<int, std::string> module_of{{root, ""}};
    for (size_t i = 0; i < waiting.size(); ++i) {
      const int file = waiting[i];
      const std::string here = module_of[file];
      crates_.back().try_emplace(here, file);
      for (const auto& inner : extracted_[at(file)].nested)
        crates_.back().try_emplace(join_modules(here, inner), file);
      if (places_[at(file)].crate < 0) places_[at(file)] = {crate, here};
      for (const auto& site : extracted_[at(file)].imports) {
        if (site.form != "mod") continue;
        const int child = module_file(file, file == root, site);
        if (child < 0) {
          sink_.unresolved();
          continue;
        }
        sink_.soft_link(file, child, site.line);
        if (module_of.try_emplace(child, join_modules(join_modules(here, site.names[0]), site.target)).second)
          waiting.push_back(child);
      }
    }
  }

  // `mod name;` in a root or mod.rs: beside it; elsewhere: in a folder named like the file.
  int module_file(int file, bool is_root, const ImportSite& site) const {
    const std::string& path = index_.file(file).path;
    const std::string folder(path_folder(path));
    std::string base = is_root || path_name(path) == "mod.rs" ? folder : join_path(folder, path_stem(path));
    for (const auto& part : split_path(site.names[0])) base = join_path(base, part);
    if (!site.inside.empty()) {  // relative to the file's folder, or to the inline module that it stands in
      std::string written;
      const std::string from = site.names[0].empty() ? folder : base;
      return normalise_path(join_path(from, site.inside), &written) ? index_.find(written) : -1;
    }
    for (const std::string& candidate : {site.target + ".rs", site.target + "/mod.rs"})
      if (const int found = index_.find(join_path(base, candidate)); found >= 0) return found;
    return -1;
  }

  // The item or module `name` of a module: its own, else what its `use` lines bring in (re-exports).
  Found lookup(int crate, const std::string& module, const std::string& name) {
    const auto& modules = crates_[at(crate)];
    const std::string child = join_modules(module, name);
    if (const auto found = modules.find(child); found != modules.end())
      return {found->second, crate, child, true, false};
    const auto home = modules.find(module);
    if (home == modules.end()) return {};
    const int file = home->second;
    if (places_[at(file)].crate != crate && places_[at(file)].module != module) return {};
    const std::string& outer = places_[at(file)].module;
    const std::string inside =
        module.size() > outer.size() ? module.substr(outer.empty() ? 0 : outer.size() + 2) : "";
    const auto& declared = extracted_[at(file)].declared;
    if (std::find(declared.begin(), declared.end(), join_modules(inside, name)) != declared.end())
      return {file, crate, "", false, false};
    if (!looking_.insert({crate, child}).second) return {};  // a circle of re-exports
    Found result = imported(file, inside, name);
    looking_.erase({crate, child});
    return result;
  }

  Found imported(int file, const std::string& inside, const std::string& name) {
    for (const auto& site : extracted_[at(file)].imports)
      if (site.form == "use" && site.inside == inside && site.names[0] == name)
        if (const Found found = resolve(file, inside, split_path(site.target));
            found.file >= 0 || found.is_external)
          return found;
    for (const auto& site : extracted_[at(file)].imports) {
      if (site.form != "use" || site.inside != inside || site.names[0] != "*") continue;
      const Found all = resolve(file, inside, split_path(site.target));
      if (all.file < 0 || !all.is_module) continue;
      if (const Found found = lookup(all.crate, all.module, name); found.file >= 0) return found;
    }
    return {};
  }

  Found resolve(int file, const std::string& inside, const std::vector<std::string>& parts) {
    const Place place = places_[at(file)];
    if (parts.empty() || place.crate < 0) return {};
    Found here{file, place.crate, join_modules(place.module, inside), true, false};
    size_t next = 0;
    if (parts[0] == "crate" || parts[0] == "$crate") {
      here = {crates_[at(place.crate)].at(""), place.crate, "", true, false};
      next = 1;
    } else if (parts[0] == "self") {
      next = 1;
    } else if (parts[0] == "super") {
      for (; next < parts.size() && parts[next] == "super"; ++next) {
        const size_t cut = here.module.rfind("::");
        here.module = cut == here.module.npos ? "" : here.module.substr(0, cut);
      }
    } else {
      Found first = lookup(place.crate, here.module, parts[0]);
      if (first.file < 0 && !first.is_external) first = sibling(place.crate, parts[0]);
      if (first.file < 0 && !first.is_external && here.module != "")
        first = lookup(place.crate, "", parts[0]);
      if (first.file < 0) {
        first.is_external = true;
        return first;
      }
      here = first;
      next = 1;
    }
    for (; next < parts.size() && here.is_module; ++next) {
      const Found inner = lookup(here.crate, here.module, parts[next]);
      if (inner.is_external) return inner;
      if (inner.file < 0) break;  // a name that a macro makes, or an item of a file that was left out
      here = inner;
    }
    if (const auto home = crates_[at(here.crate)].find(here.module);
        here.is_module && home != crates_[at(here.crate)].end())
      here.file = home->second;
    return here;
  }

  Found sibling(int crate, std::string name) {
    if (const int package = package_of_[at(crate)]; package >= 0) {
      const auto& renames = packages_[at(package)].renames;
      if (const auto real = renames.find(name); real != renames.end()) name = real->second;
    }
    const auto library = libraries_.find(name);
    if (library == libraries_.end()) return {};
    return {crates_[at(library->second)].at(""), library->second, "", true, false};
  }

  void resolve_use(int file, const ImportSite& site) {
    const Found found = resolve(file, site.inside, split_path(site.target));
    if (found.is_external) return sink_.external();
    if (found.file < 0) return sink_.unresolved();  // a file that no `mod` reaches
    ImportSite edge = site;
    edge.names = {site.target.substr(site.target.rfind(':') + 1)};
    sink_.add(file, found.file, edge);
  }

  const FileIndex& index_;
  const AllExtracted& extracted_;
  EdgeSink& sink_;
  std::vector<CargoPackage> packages_;
  std::vector<std::map<std::string, int>> crates_;  // module path -> the file that holds it
  std::vector<int> package_of_;                     // of each crate, -1 if unknown
  std::map<std::string, int> libraries_;            // name -> crate
  std::vector<Place> places_;
  std::set<std::pair<int, std::string>> looking_;
};

bool is_item(std::string_view type) {
  return type == "function_item" || type == "struct_item" || type == "enum_item" || type == "union_item" ||
         type == "trait_item" || type == "type_item" || type == "const_item" || type == "static_item" ||
         type == "macro_definition";
}

// Whether nothing but modules stands around it.
bool in_module(const std::vector<TSNode>& ancestors) {
  return std::all_of(ancestors.begin() + 1, ancestors.end(), [](TSNode ancestor) {
    return is(ancestor, "mod_item") || is(ancestor, "declaration_list");
  });
}

// crate::a::b, self::a, super::a in code.
bool is_rooted(std::string_view path) {
  return path.substr(0, 7) == "crate::" || path.substr(0, 7) == "super::" || path.substr(0, 6) == "self::";
}

bool is_test_attribute(std::string_view attribute) {
  return attribute.find("cfg(test)") != attribute.npos;
}

// Inside a function, or in a module that only tests see.
bool is_soft(const std::vector<TSNode>& ancestors, std::string_view text) {
  return std::any_of(ancestors.begin(), ancestors.end(), [&](TSNode ancestor) {
    if (is(ancestor, "function_item")) return true;
    if (!is(ancestor, "mod_item")) return false;
    for (TSNode before = ts_node_prev_named_sibling(ancestor); is(before, "attribute_item");
         before = ts_node_prev_named_sibling(before))
      if (is_test_attribute(node_text(before, text))) return true;
    return false;
  });
}

// `mod x;` and `use a::b as c;` in a cfg_if! block, which the grammar leaves as loose tokens.
void read_cfg_if(std::string_view body, int line, const std::string& inside, ExtractedImports* extracted) {
  for (size_t begin = 0; begin < body.size();) {
    const size_t end = std::min(body.find(';', begin), body.size());
    std::string_view statement = body.substr(begin, end - begin);
    line += static_cast<int>(std::count(statement.begin(), statement.end(), '\n'));
    begin = end + 1;
    if (const size_t open = statement.find_last_of("{}]"); open != statement.npos)
      statement.remove_prefix(open + 1);
    std::vector<std::string> words;
    for (size_t at = 0; at < statement.size();) {
      at = statement.find_first_not_of(" \t\r\n", at);
      if (at == statement.npos) break;
      const size_t stop = std::min(statement.find_first_of(" \t\r\n", at), statement.size());
      words.emplace_back(statement.substr(at, stop - at));
      at = stop;
    }
    if (!words.empty() && words[0].substr(0, 3) == "pub") words.erase(words.begin());
    ImportSite site;
    site.line = line;
    if (words.size() == 2 && words[0] == "mod") {
      site.form = "mod";
      site.hard = false;
      site.target = words[1];
      site.names = {inside};
    } else if (words.size() >= 2 && words[0] == "use" && words[1].find_first_of("{*") == std::string::npos) {
      site.form = "use";
      site.target = words[1];
      site.names = {words.size() == 4 && words[2] == "as" ? words[3]
                                                          : words[1].substr(words[1].rfind(':') + 1)};
      site.inside = inside;
    }
    if (!site.target.empty()) extracted->imports.push_back(std::move(site));
  }
}

}  // namespace

void extract_rust(const SyntaxTree& tree, ExtractedImports* extracted) {
  const std::string_view text = tree.text();
  std::string path_attribute;
  Mentions mentions(text, {"mod", "use", "crate", "self::", "super::", "cfg_if", "#[path"});
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    if (!mentions.in(node) && !ancestors.empty() && !in_module(ancestors)) return false;
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
        if (!site.target.empty()) extracted->imports.push_back(std::move(site));
      } else {
        extracted->nested.push_back(
            join_modules(inline_modules(ancestors, text), std::string(node_text(field(node, "name"), text))));
      }
      path_attribute.clear();
      return true;
    }
    if (type == "use_declaration") {
      const bool local = is_soft(ancestors, text);
      for (auto& path : use_paths(field(node, "argument"), text)) {
        ImportSite site;
        site.form = "use";
        site.hard = !local;
        site.line = node_line(node);
        site.target = std::move(path.path);
        site.names = {std::move(path.name)};
        site.inside = inline_modules(ancestors, text);
        if (!site.target.empty()) extracted->imports.push_back(std::move(site));
      }
      return false;
    }
    if (type == "macro_invocation" && is(field(node, "macro"), "identifier") &&
        node_text(field(node, "macro"), text) == "cfg_if") {
      read_cfg_if(node_text(node, text), node_line(node), inline_modules(ancestors, text), extracted);
      return false;
    }
    if (type == "extern_crate_declaration") {
      const TSNode alias = field(node, "alias");
      ImportSite site;
      site.form = "use";
      site.line = node_line(node);
      site.target = std::string(node_text(field(node, "name"), text));
      site.names = {ts_node_is_null(alias) ? site.target : std::string(node_text(alias, text))};
      site.inside = inline_modules(ancestors, text);
      if (!site.target.empty()) extracted->imports.push_back(std::move(site));
      return false;
    }
    if (is_item(type)) {
      if (in_module(ancestors))
        extracted->declared.push_back(
            join_modules(inline_modules(ancestors, text), std::string(node_text(field(node, "name"), text))));
    } else if (type == "scoped_identifier" || type == "scoped_type_identifier") {
      if (const std::string_view path = node_text(node, text);
          is_rooted(path) && inline_modules(ancestors, text).empty())
        extracted->qualified.emplace_back(path, node_line(node));
      return false;
    }
    return true;
  });
}

void resolve_rust(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink) {
  RustResolver(index, extracted, sink).resolve_all();
}

}  // namespace retrace::synth
