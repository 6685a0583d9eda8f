#include "synth/structure/symbols/symbols.h"

namespace retrace::synth {

namespace {

void refine(TSNode node, const std::vector<TSNode>&, std::string_view text, SymbolDraft* draft) {
  const std::string_view type = node_type(node);
  if (type == "impl_item") {
    const std::string owner = fold_space(node_text(field(node, "type"), text));
    draft->name = owner.substr(0, owner.find('<'));
    draft->kind = "impl";
  } else if (type == "function_item" || type == "function_signature_item") {
    if (draft->in_class) draft->kind = "method";
  } else if (type == "mod_item") {
    if (ts_node_is_null(draft->body)) draft->name.clear();  // `mod x;` names another file
  }
}

}  // namespace

SymbolTable rust_symbols() {
  SymbolTable table;
  table.rules = {{"function_item", "function"},
                 {"function_signature_item", "function"},
                 {"struct_item", "struct"},
                 {"union_item", "struct"},
                 {"enum_item", "enum"},
                 {"trait_item", "interface", true},
                 {"impl_item", "class", true, false},
                 {"mod_item", "module", true},
                 {"const_item", "constant"},
                 {"static_item", "constant"},
                 {"type_item", "type"},
                 {"macro_definition", "macro"}};
  table.refine = refine;
  return table;
}

}  // namespace retrace::synth
