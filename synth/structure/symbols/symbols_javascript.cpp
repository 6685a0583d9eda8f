// JavaScript, TypeScript and TSX share their node types.
#include "synth/structure/symbols/symbols.h"

namespace retrace::synth {

namespace {

bool is_function(TSNode node) {
  return is(node, "arrow_function") || is(node, "function_expression") || is(node, "generator_function");
}

// `const f = () => ...`, `const C = class ...`, `const MAX_SIZE = 3`, `Thing.prototype.run = function ...`.
void refine_binding(TSNode target, TSNode value, bool at_top, std::string_view text, SymbolDraft* draft) {
  const std::string name = fold_space(node_text(target, text));
  const bool member = is(target, "member_expression");
  draft->name.clear();
  if (!member && !is(target, "identifier")) return;
  if (is_function(value)) {
    draft->kind = member ? "method" : "function";
    draft->body = field(value, "body");
  } else if (is(value, "class")) {
    draft->kind = "class";
    draft->body = field(value, "body");
  } else if (!member && at_top && is_upper_name(name)) {
    draft->kind = "constant";
  } else {
    return;
  }
  draft->name = name;
  if (const size_t prototype = name.find(".prototype."); prototype != name.npos)
    draft->name = name.substr(0, prototype) + name.substr(prototype + 10);
}

void refine(TSNode node, const std::vector<TSNode>& ancestors, std::string_view text, SymbolDraft* draft) {
  const bool at_top = ancestors.size() <= 3;
  if (is(node, "variable_declarator")) {
    refine_binding(field(node, "name"), field(node, "value"), at_top, text, draft);
  } else if (is(node, "assignment_expression")) {
    refine_binding(field(node, "left"), field(node, "right"), at_top, text, draft);
    if (!is(field(node, "left"), "member_expression")) draft->name.clear();
  } else if (is(node, "module") || is(node, "internal_module")) {
    if (draft->name.size() >= 2 && (draft->name[0] == '"' || draft->name[0] == '\''))
      draft->name = draft->name.substr(1, draft->name.size() - 2);
  }
}

}  // namespace

SymbolTable javascript_symbols() {
  SymbolTable table;
  table.rules = {{"function_declaration", "function"},
                 {"generator_function_declaration", "function"},
                 {"function_signature", "function"},
                 {"class_declaration", "class", true},
                 {"abstract_class_declaration", "class", true},
                 {"method_definition", "method"},
                 {"method_signature", "method"},
                 {"abstract_method_signature", "method"},
                 {"interface_declaration", "interface", true},
                 {"type_alias_declaration", "type"},
                 {"enum_declaration", "enum"},
                 {"module", "module", true},
                 {"internal_module", "module", true},
                 {"variable_declarator", "constant"},
                 {"assignment_expression", "method"}};
  table.wrappers = {"export_statement", "lexical_declaration", "variable_declaration", "expression_statement",
                    "ambient_declaration"};
  table.refine = refine;
  return table;
}

}  // namespace retrace::synth
