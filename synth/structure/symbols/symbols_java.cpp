#include "synth/structure/symbols/symbols.h"

namespace retrace::synth {

namespace {

void refine(TSNode node, const std::vector<TSNode>&, std::string_view text, SymbolDraft* draft) {
  if (!is(node, "field_declaration")) return;
  const std::string_view modifiers = node_text(first_child_of(node, "modifiers"), text);
  const bool constant =
      modifiers.find("static") != modifiers.npos && modifiers.find("final") != modifiers.npos;
  const TSNode name = field(field(node, "declarator"), "name");
  draft->name = constant && !ts_node_is_null(name) ? std::string(node_text(name, text)) : "";
}

}  // namespace

SymbolTable java_symbols() {
  SymbolTable table;
  table.rules = {
      {"class_declaration", "class", true},         {"record_declaration", "class", true},
      {"interface_declaration", "interface", true}, {"annotation_type_declaration", "interface", true},
      {"enum_declaration", "enum", true},           {"method_declaration", "method"},
      {"constructor_declaration", "method"},        {"field_declaration", "constant"}};
  table.refine = refine;
  return table;
}

}  // namespace retrace::synth
