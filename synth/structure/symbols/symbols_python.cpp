#include "synth/structure/symbols/symbols.h"

namespace retrace::synth {

namespace {

void refine(TSNode node, const std::vector<TSNode>& ancestors, std::string_view text, SymbolDraft* draft) {
  if (is(node, "function_definition") || is(node, "class_definition")) {
    if (draft->in_class && is(node, "function_definition")) draft->kind = "method";
    for (uint32_t i = 0; i < ts_node_child_count(node); ++i)  // a comment may stand between colon and body
      if (const TSNode child = ts_node_child(node, i); is(child, ":")) draft->stop = child;
    return;
  }
  if (!is(node, "assignment")) return;
  const TSNode left = field(node, "left");
  const bool at_top =
      ancestors.size() == 1 || (ancestors.size() == 2 && is(ancestors[1], "expression_statement"));
  draft->name = at_top && is(left, "identifier") && is_upper_name(node_text(left, text))
                    ? std::string(node_text(left, text))
                    : "";
}

}  // namespace

SymbolTable python_symbols() {
  SymbolTable table;
  table.rules = {
      {"class_definition", "class", true}, {"function_definition", "function"}, {"assignment", "constant"}};
  table.wrappers = {"decorated_definition"};
  table.refine = refine;
  table.docstring_inside = true;
  return table;
}

}  // namespace retrace::synth
