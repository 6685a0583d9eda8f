// Go: an import names a folder of a module of the tree; files of one package need no import and are linked by
// the package-level names they use. Modules are those with a go.mod here and the folders that a `replace`
// names.
#include <algorithm>
#include <unordered_set>

#include "synth/paths.h"
#include "synth/structure/imports/imports.h"

namespace retrace::synth {

namespace {

struct Module {
  std::string path, folder;
};

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\"`"), last = text.find_last_not_of(" \t\r\"`");
  return first == text.npos ? std::string_view() : text.substr(first, last - first + 1);
}

// Directives of go.mod and go.work, one (word, rest) each; blocks in parentheses are unfolded.
std::vector<std::pair<std::string, std::string>> directives(std::string_view manifest) {
  std::vector<std::pair<std::string, std::string>> found;
  std::string block;
  for (size_t begin = 0; begin < manifest.size();) {
    const size_t end = std::min(manifest.find('\n', begin), manifest.size());
    std::string_view line = manifest.substr(begin, end - begin);
    begin = end + 1;
    line = trimmed(line.substr(0, line.find("//")));
    if (line.empty()) continue;
    if (line == ")") {
      block.clear();
    } else if (!block.empty()) {
      found.emplace_back(block, line);
    } else {
      const size_t space = std::min(line.find_first_of(" \t("), line.size());
      const std::string_view rest = trimmed(line.substr(space));
      if (rest == "(")
        block = std::string(line.substr(0, space));
      else
        found.emplace_back(line.substr(0, space), rest);
    }
  }
  return found;
}

std::vector<Module> modules_of(const FileIndex& index) {
  std::vector<Module> modules;
  for (const char* name : {"go.mod", "go.work"})
    for (int manifest : index.named(name)) {
      const std::string folder(path_folder(index.file(manifest).path));
      for (const auto& [word, rest] : directives(index.file(manifest).content)) {
        if (word == "module") modules.push_back({rest, folder});
        const size_t arrow = rest.find("=>");
        if (word != "replace" || arrow == rest.npos) continue;
        std::string_view from = trimmed(std::string_view(rest).substr(0, arrow));
        from = from.substr(0, from.find_first_of(" \t"));
        const std::string_view to = trimmed(std::string_view(rest).substr(arrow + 2));
        std::string target;
        if (to.substr(0, 1) == "." && normalise_path(join_path(folder, to), &target))
          modules.push_back({std::string(from), target});
      }
    }
  std::stable_sort(modules.begin(), modules.end(),
                   [](const Module& a, const Module& b) { return a.path.size() > b.path.size(); });
  return modules;
}

bool is_test_file(std::string_view path) {
  return path_stem(path).size() > 5 && path.find("_test.go") != path.npos;
}

bool opens_scope(std::string_view type) {
  return type == "block" || type == "function_declaration" || type == "method_declaration" ||
         type == "func_literal" || type == "if_statement" || type == "for_statement" ||
         type == "expression_switch_statement" || type == "type_switch_statement" ||
         type == "expression_case" || type == "type_case" || type == "default_case" ||
         type == "communication_case" || type == "select_statement" || type == "type_spec" ||
         type == "function_type" || type == "method_elem";
}

// The names that hide package-level ones: each from the end of its declaration to the end of its scope.
class Locals {
 public:
  explicit Locals(std::string_view text) : text_(text) {}

  // Hidden where it is named, and from `from` on.
  void declare(TSNode name, size_t from, const std::vector<TSNode>& ancestors) {
    for (size_t i = ancestors.size(); i-- > 1;) {
      if (!opens_scope(node_type(ancestors[i]))) continue;
      auto& spans = spans_[node_text(name, text_)];
      spans.emplace_back(ts_node_start_byte(name), ts_node_end_byte(name));
      spans.emplace_back(from, ts_node_end_byte(ancestors[i]));
      return;
    }
  }

  // What `node` declares, if it stands inside a function or a type.
  void declare_by(TSNode node, std::string_view type, const std::vector<TSNode>& ancestors) {
    const size_t end = ts_node_end_byte(node);
    auto all_of = [&](TSNode list) {
      if (!ts_node_is_null(list))
        for (TSNode name : named_children(list))
          if (is(name, "identifier")) declare(name, end, ancestors);
    };
    if (type == "short_var_declaration" || type == "range_clause" || type == "receive_statement") {
      if (type != "receive_statement" || node_text(node, text_).find(":=") != std::string_view::npos)
        all_of(field(node, "left"));
    } else if (type == "parameter_declaration" || type == "variadic_parameter_declaration" ||
               type == "type_parameter_declaration" || type == "var_spec" || type == "const_spec") {
      all_of(node);
    } else if (type == "type_switch_statement") {
      const TSNode alias = field(node, "alias");
      if (ts_node_is_null(alias)) return;
      for (TSNode name : named_children(alias))
        spans_[node_text(name, text_)].emplace_back(ts_node_start_byte(name), end);
    } else if (type == "type_spec" || type == "type_alias") {
      declare(field(node, "name"), ts_node_start_byte(node), ancestors);
    }
  }

  bool hides(TSNode use) const {
    const auto found = spans_.find(node_text(use, text_));
    const size_t at = ts_node_start_byte(use);
    return found != spans_.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [&](const auto& span) { return span.first <= at && at < span.second; });
  }

 private:
  std::string_view text_;
  std::map<std::string_view, std::vector<std::pair<size_t, size_t>>> spans_;
};

// `Field: value` in a literal of a named type: the key is a field, not a use.
bool is_field_key(const std::vector<TSNode>& ancestors) {
  if (ancestors.size() < 4) return false;
  const size_t n = ancestors.size();
  if (!is(ancestors[n - 1], "literal_element") || !is(ancestors[n - 2], "keyed_element")) return false;
  if (!ts_node_eq(ts_node_named_child(ancestors[n - 2], 0), ancestors[n - 1])) return false;
  const TSNode literal = ancestors[n - 4];
  if (!is(literal, "composite_literal")) return true;
  const std::string_view type = node_type(field(literal, "type"));
  return type != "map_type" && type != "array_type" && type != "slice_type" &&
         type != "implicit_length_array_type";
}

bool is_top_level(const std::vector<TSNode>& ancestors) {
  return ancestors.size() == 1 ||
         (ancestors.size() <= 3 && std::all_of(ancestors.begin() + 1, ancestors.end(), [](TSNode node) {
            return is(node, "const_declaration") || is(node, "var_declaration") ||
                   is(node, "type_declaration") || is(node, "var_spec_list");
          }));
}

// The files an import of this folder brings: its package, without tests and stray files of another name (a
// generator in `package main`).
std::vector<int> package_files(const FileIndex& index, const AllExtracted& extracted,
                               const std::string& folder) {
  std::map<std::string, std::vector<int>> by_name;
  for (int file : index.in_folder(folder))
    if (index.file(file).language == "go" && !is_test_file(index.file(file).path))
      by_name[extracted[static_cast<size_t>(file)].package].push_back(file);
  if (by_name.size() > 1) by_name.erase("main");
  size_t most = 0;
  for (const auto& [name, files] : by_name) most = std::max(most, files.size());
  for (const auto& [name, files] : by_name)
    if (files.size() == most) return files;
  return {};
}

}  // namespace

void extract_go(const SyntaxTree& tree, ExtractedImports* extracted) {
  const std::string_view text = tree.text();
  Locals locals(text);
  std::unordered_set<std::string_view> used;
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    if (!ts_node_is_named(node)) return false;
    const std::string_view type = node_type(node);
    if (type == "package_clause") {
      extracted->package = std::string(node_text(ts_node_named_child(node, 0), text));
      return false;
    }
    if (type == "import_spec") {
      ImportSite site;
      const std::string_view literal = node_text(field(node, "path"), text);
      if (literal.size() > 2) site.target = std::string(literal.substr(1, literal.size() - 2));
      site.line = node_line(node);
      if (!site.target.empty()) extracted->imports.push_back(std::move(site));
      return false;
    }
    if (type == "identifier" || type == "type_identifier") {
      if (used.count(node_text(node, text)) > 0) return false;
      const bool foreign = !ancestors.empty() && is(ancestors.back(), "qualified_type");
      if (!foreign && !locals.hides(node) && !is_field_key(ancestors)) used.insert(node_text(node, text));
      return false;
    }
    if (is_top_level(ancestors)) {
      if (type == "function_declaration" || type == "type_spec" || type == "type_alias")
        extracted->declared.emplace_back(node_text(field(node, "name"), text));
      if (type == "var_spec" || type == "const_spec")
        for (TSNode name : named_children(node))
          if (is(name, "identifier")) extracted->declared.emplace_back(node_text(name, text));
    } else {
      locals.declare_by(node, type, ancestors);
    }
    return true;
  });
  extracted->identifiers.assign(used.begin(), used.end());
  std::sort(extracted->identifiers.begin(), extracted->identifiers.end());
}

void resolve_go(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink) {
  const std::vector<Module> modules = modules_of(index);
  auto resolve = [&](int file, const ImportSite& site) {
    for (const auto& module : modules) {
      const bool same = site.target == module.path;
      if (!same && site.target.compare(0, module.path.size() + 1, module.path + "/") != 0) continue;
      const std::string folder =
          same ? module.folder : join_path(module.folder, site.target.substr(module.path.size() + 1));
      const std::vector<int> files = package_files(index, extracted, folder);
      for (int other : files) sink->add(file, other, site);
      return files.empty() ? sink->unresolved() : void();
    }
    sink->external();
  };
  std::map<std::pair<std::string_view, std::string_view>, std::vector<int>> packages;  // (folder, name)
  for (size_t i = 0; i < extracted.size(); ++i) {
    const int file = static_cast<int>(i);
    if (index.file(file).language != "go") continue;
    packages[{path_folder(index.file(file).path), extracted[i].package}].push_back(file);
    for (const auto& site : extracted[i].imports) resolve(file, site);
  }
  for (const auto& [name, files] : packages) link_same_package(index, extracted, files, sink);
}

}  // namespace retrace::synth
