// analyse: parse each file once, take symbols and imports from the tree, resolve, order.
#include "synth/structure/analyse.h"
#include "synth/structure/imports/imports.h"
#include "synth/structure/order.h"
#include "synth/structure/symbols/symbols.h"
#include "synth/structure/syntax/parse.h"

namespace retrace::synth {

namespace {

std::string shown(const ImportSite& site) {
  if (site.form == "quoted") return "\"" + site.target + "\"";
  if (site.form == "angled") return "<" + site.target + ">";
  if (site.form == "wildcard") return site.target + ".*";
  return site.form == "mod" ? "mod " + site.target : site.target;
}

}  // namespace

Structure analyse(const Snapshot& snapshot, const AnalyseOptions& options) {
  Structure structure;
  structure.files.resize(snapshot.files.size());
  AllExtracted extracted(snapshot.files.size());
  for (size_t i = 0; i < snapshot.files.size(); ++i) {
    const SourceFile& source = snapshot.files[i];
    FileStructure& file = structure.files[i];
    const SyntaxTree tree(source.content, source.language, options.parse_timeout_s);
    if (!tree) continue;
    file.parsed = true;
    file.has_errors = tree.has_errors();
    find_symbols(tree, source.language, &file);
    extracted[i] = extract_imports(tree, source.language);
    for (const auto& site : extracted[i].imports) file.imports.push_back(shown(site));
  }
  const FileIndex index(snapshot);
  EdgeSink sink;
  resolve_python(index, extracted, &sink);
  resolve_c(index, extracted, &sink);
  resolve_javascript(index, extracted, &sink);
  resolve_go(index, extracted, &sink);
  resolve_java(index, extracted, &sink);
  resolve_rust(index, extracted, &sink);
  sink.finish(&structure);
  std::vector<OrderNode> nodes;
  for (const auto& file : snapshot.files) nodes.push_back({role_of(file.path, file.language), file.path});
  structure.order = writing_order(nodes, &structure.edges);
  return structure;
}

}  // namespace retrace::synth
