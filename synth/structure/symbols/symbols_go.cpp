#include "synth/structure/symbols/symbols.h"

namespace retrace::synth {

namespace {

// "(p *Parser[T])" -> "Parser"
std::string receiver_type(TSNode receiver, std::string_view text) {
  std::string name;
  walk(receiver, [&](TSNode node, const std::vector<TSNode>&) {
    if (name.empty() && is(node, "type_identifier")) name = std::string(node_text(node, text));
    return name.empty();
  });
  return name;
}

void refine(TSNode node, const std::vector<TSNode>&, std::string_view text, SymbolDraft* draft) {
  if (is(node, "method_declaration")) {
    const std::string owner = receiver_type(field(node, "receiver"), text);
    if (!owner.empty()) draft->name = owner + "." + draft->name;
  } else if (is(node, "type_spec")) {
    const TSNode type = field(node, "type");
    if (is(type, "struct_type")) draft->kind = "struct";
    if (is(type, "interface_type")) draft->kind = "interface";
  }
}

}  // namespace

SymbolTable go_symbols() {
  SymbolTable table;
  table.rules = {{"function_declaration", "function"},
                 {"method_declaration", "method"},
                 {"type_spec", "type"},
                 {"type_alias", "type"},
                 {"const_spec", "constant"}};
  table.wrappers = {"type_declaration", "const_declaration"};
  table.refine = refine;
  return table;
}

}  // namespace retrace::synth
