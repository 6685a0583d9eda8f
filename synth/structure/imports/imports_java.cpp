// Java: names become types by the language's order: types of the file itself, single imports, the own
// package, imports on demand. Where several source roots hold one qualified name, the nearest wins. Names
// with their package written out in code, and uses inside a package, are soft edges.
#include <algorithm>
#include <unordered_set>

#include "synth/input/roles.h"
#include "synth/paths.h"
#include "synth/structure/imports/imports.h"

namespace retrace::synth {

namespace {

bool is_type_declaration(std::string_view type) {
  return type == "class_declaration" || type == "interface_declaration" || type == "enum_declaration" ||
         type == "record_declaration" || type == "annotation_type_declaration";
}

bool is_qualified(std::string_view type) {
  return type == "field_access" || type == "scoped_type_identifier" || type == "scoped_identifier";
}

std::string without_space(std::string_view text) {
  std::string kept;
  for (char c : text)
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') kept += c;
  return kept;
}

ImportSite import_of(TSNode node, std::string_view text) {
  ImportSite site;
  site.line = node_line(node);
  site.form = "type";
  for (TSNode child : named_children(node)) {
    if (is(child, "scoped_identifier") || is(child, "identifier"))
      site.target = without_space(node_text(child, text));
    if (is(child, "asterisk")) site.form = "wildcard";
  }
  for (uint32_t i = 0; i < ts_node_child_count(node); ++i)
    if (is(ts_node_child(node, i), "static")) site.inside = "static";
  return site;
}

std::string_view last_part(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == name.npos ? name : name.substr(dot + 1);
}

class JavaResolver {
 public:
  JavaResolver(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink)
      : index_(index), extracted_(extracted), sink_(*sink) {
    for (size_t i = 0; i < extracted.size(); ++i) {
      if (index.file(static_cast<int>(i)).language != "java") continue;
      auto& package = packages_[extracted[i].package];
      for (const auto& name : extracted[i].declared) package[name].push_back(static_cast<int>(i));
    }
  }

  void resolve(int file) {
    const ExtractedImports& extracted = extracted_[static_cast<size_t>(file)];
    std::set<std::string_view> taken(extracted.declared.begin(), extracted.declared.end());
    taken.insert(extracted.nested.begin(), extracted.nested.end());
    std::vector<const ImportSite*> on_demand;
    for (const auto& site : extracted.imports) {
      if (site.form == "wildcard" && site.inside.empty() && packages_.count(site.target) > 0) {
        on_demand.push_back(&site);
        continue;
      }
      if (site.form == "type") taken.insert(last_part(site.target));
      if (const int found = type_of(file, site.target); found >= 0)
        sink_.add_name(file, found, site, std::string(last_part(site.target)));
      else if (packages_.count(site.target.substr(0, site.target.rfind('.'))) > 0)
        sink_.unresolved();
      else
        sink_.external();
    }
    for (const auto& [name, line] : extracted.qualified)
      if (const int found = type_of(file, name); found >= 0) sink_.soft_link(file, found, line);
    for (const auto& name : extracted.identifiers)
      if (taken.count(name) == 0) resolve_simple(file, name, extracted.package, on_demand);
  }

 private:
  void resolve_simple(int file, const std::string& name, const std::string& package,
                      const std::vector<const ImportSite*>& on_demand) {
    if (const int found = declared_in(file, package, name); found >= 0) return sink_.soft_link(file, found);
    // A package is no dependency on all its files, only on the types that are used.
    for (const ImportSite* site : on_demand)
      if (const int found = declared_in(file, site->target, name); found >= 0)
        return sink_.add_name(file, found, *site, name);
  }

  // The longest prefix that is a type: what follows it are nested types and static members.
  int type_of(int file, const std::string& name) const {
    for (size_t end = name.size();;) {
      const size_t dot = name.rfind('.', end - 1);
      if (dot == name.npos || dot == 0) return -1;
      if (const int found = declared_in(file, name.substr(0, dot), name.substr(dot + 1, end - dot - 1));
          found >= 0)
        return found;
      end = dot;
    }
  }

  // Of several files with that type the nearest to the user, sources before tests; sources never see tests.
  int declared_in(int user, const std::string& package, const std::string& name) const {
    const auto types = packages_.find(package);
    if (types == packages_.end()) return -1;
    const auto files = types->second.find(name);
    if (files == types->second.end()) return -1;
    int best = -1;
    std::pair<bool, size_t> best_key;
    for (int file : files->second) {
      if (is_test(file) && !is_test(user)) continue;
      const std::pair<bool, size_t> key{!is_test(file),
                                        shared_folders(index_.file(user).path, index_.file(file).path)};
      const bool nearer =
          key.second > best_key.second || (key.second == best_key.second && key.first > best_key.first);
      if (best < 0 || nearer) best = file, best_key = key;
    }
    return best;
  }

  bool is_test(int file) const { return role_of(index_.file(file).path, "java") == Role::test; }

  static size_t shared_folders(std::string_view a, std::string_view b) {
    const auto left = path_components(path_folder(a)), right = path_components(path_folder(b));
    size_t n = 0;
    while (n < left.size() && n < right.size() && left[n] == right[n]) ++n;
    return n;
  }

  const FileIndex& index_;
  const AllExtracted& extracted_;
  EdgeSink& sink_;
  std::map<std::string, std::map<std::string, std::vector<int>>> packages_;  // package -> type -> files
};

}  // namespace

void extract_java(const SyntaxTree& tree, ExtractedImports* extracted) {
  const std::string_view text = tree.text();
  std::unordered_set<std::string_view> used;
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    if (!ts_node_is_named(node)) return false;
    const std::string_view type = node_type(node);
    if (type == "package_declaration") {
      for (TSNode child : named_children(node))
        if (is(child, "scoped_identifier") || is(child, "identifier"))
          extracted->package = without_space(node_text(child, text));
      return true;  // annotations of package-info.java
    }
    if (type == "import_declaration") {
      ImportSite site = import_of(node, text);
      if (!site.target.empty()) extracted->imports.push_back(std::move(site));
      return false;
    }
    if (is_type_declaration(type)) {
      auto& names = ancestors.size() == 1 ? extracted->declared : extracted->nested;
      names.emplace_back(node_text(field(node, "name"), text));
    } else if (type == "type_parameter") {
      if (const TSNode name = ts_node_named_child(node, 0); is(name, "type_identifier"))
        extracted->nested.emplace_back(node_text(name, text));
    } else if (type == "identifier" || type == "type_identifier") {
      const bool qualified = is_qualified(node_type(ancestors.back()));
      if (!qualified || ts_node_start_byte(node) == ts_node_start_byte(ancestors.back()))
        used.insert(node_text(node, text));
      return false;
    }
    if (is_qualified(type) && !ancestors.empty() && !is_qualified(node_type(ancestors.back()))) {
      const char first = text[ts_node_start_byte(node)];
      if (first >= 'a' && first <= 'z') {
        std::string name = without_space(node_text(node, text));
        const bool plain = name.find_first_of("(\"[<") == name.npos;
        if (plain && std::count(name.begin(), name.end(), '.') > 1)
          extracted->qualified.emplace_back(std::move(name), node_line(node));
      }
    }
    return true;
  });
  extracted->identifiers.assign(used.begin(), used.end());
  std::sort(extracted->identifiers.begin(), extracted->identifiers.end());
}

void resolve_java(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink) {
  JavaResolver resolver(index, extracted, sink);
  for (size_t i = 0; i < extracted.size(); ++i)
    if (index.file(static_cast<int>(i)).language == "java") resolver.resolve(static_cast<int>(i));
}

}  // namespace retrace::synth
