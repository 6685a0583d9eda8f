// Java: imports through an index of the tree's types by qualified name; types of one package need no import
// and are linked by the names they use.
#include "synth/input/paths.h"
#include "synth/structure/imports.h"

namespace retrace::synth {

void extract_java(const SyntaxTree& tree, FileFacts* facts) {
  const std::string_view text = tree.text();
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>& ancestors) {
    const std::string_view type = node_type(node);
    if (type == "package_declaration") {
      for (TSNode child : named_children(node))
        if (is(child, "scoped_identifier") || is(child, "identifier"))
          facts->package = std::string(node_text(child, text));
      return false;
    }
    if (type == "import_declaration") {
      ImportSite site;
      site.line = node_line(node);
      site.form = "type";
      for (TSNode child : named_children(node)) {
        if (is(child, "scoped_identifier") || is(child, "identifier"))
          site.target = std::string(node_text(child, text));
        if (is(child, "asterisk")) site.form = "wildcard";
      }
      if (node_text(node, text).substr(0, 14) == "import static ") site.names = {"static"};
      if (!site.target.empty()) facts->imports.push_back(std::move(site));
      return false;
    }
    if (ancestors.size() == 1)
      if (const TSNode name = field(node, "name"); !ts_node_is_null(name))
        facts->declared.emplace_back(node_text(name, text));
    if (type == "identifier" || type == "type_identifier") facts->identifiers.emplace(node_text(node, text));
    return true;
  });
}

void resolve_java(const FileIndex& index, const AllFacts& facts, EdgeSink* sink) {
  std::map<std::string, int> types;
  std::map<std::string, std::vector<int>> packages;
  for (size_t i = 0; i < facts.size(); ++i) {
    if (index.file(static_cast<int>(i)).language != "java") continue;
    packages[facts[i].package].push_back(static_cast<int>(i));
    for (const auto& name : facts[i].declared)
      types.try_emplace(facts[i].package.empty() ? name : facts[i].package + "." + name, static_cast<int>(i));
  }
  auto resolve = [&](int file, ImportSite site) {
    const bool is_static = !site.names.empty();
    site.names.clear();
    if (site.form == "wildcard" && !is_static) {
      const auto package = packages.find(site.target);
      if (package == packages.end()) return sink->external();
      // Only the types that are used: a package is not a dependency on all its files.
      for (int other : package->second)
        for (const auto& name : facts[static_cast<size_t>(other)].declared)
          if (facts[static_cast<size_t>(file)].identifiers.count(name) > 0)
            sink->add_name(file, other, site, name);
      return;
    }
    // The longest prefix that is a type: what follows it are nested types and static members.
    for (std::string prefix = site.target; !prefix.empty();) {
      if (const auto type = types.find(prefix); type != types.end())
        return sink->add_name(file, type->second, site, site.target.substr(site.target.rfind('.') + 1));
      const size_t dot = prefix.rfind('.');
      prefix.resize(dot == prefix.npos ? 0 : dot);
    }
    const size_t dot = site.target.rfind('.');
    const bool own_package = dot != site.target.npos && packages.count(site.target.substr(0, dot)) > 0;
    return own_package ? sink->unresolved() : sink->external();
  };
  for (size_t i = 0; i < facts.size(); ++i)
    if (index.file(static_cast<int>(i)).language == "java")
      for (const auto& site : facts[i].imports) resolve(static_cast<int>(i), site);
  for (const auto& [name, files] : packages) link_same_package(index, facts, files, sink);
}

}  // namespace retrace::synth
