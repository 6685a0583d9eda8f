// C and C++: names hide inside declarators.
#include "synth/structure/symbols/symbols.h"

namespace retrace::synth {

namespace {

struct Declared {
  TSNode name{};
  bool function = false;
};

// Down the chain of declarators (pointers, arrays, references, parentheses) to the name.
Declared declared_by(TSNode node) {
  constexpr int kMaxDepth = 200;
  Declared declared;
  TSNode at = field(node, "declarator");
  for (int depth = 0; depth < kMaxDepth && !ts_node_is_null(at); ++depth) {
    const std::string_view type = node_type(at);
    if (type == "identifier" || type == "field_identifier" || type == "type_identifier" ||
        type == "qualified_identifier" || type == "destructor_name" || type == "operator_name" ||
        type == "template_function" || type == "operator_cast" || type == "primitive_type") {
      declared.name = at;
      return declared;
    }
    if (type == "function_declarator") declared.function = true;
    TSNode next = field(at, "declarator");
    if (ts_node_is_null(next) && (type == "reference_declarator" || type == "parenthesized_declarator"))
      next = ts_node_named_child(at, 0);
    at = next;
  }
  return declared;
}

std::string dotted(std::string name) {
  for (size_t at = name.find("::"); at != name.npos; at = name.find("::", at + 1)) name.replace(at, 2, ".");
  while (!name.empty() && name[0] == '.') name.erase(0, 1);
  return name;
}

bool has_ancestor(const std::vector<TSNode>& ancestors, std::string_view type) {
  for (const TSNode& ancestor : ancestors)
    if (is(ancestor, type)) return true;
  return false;
}

void refine(TSNode node, const std::vector<TSNode>& ancestors, std::string_view text, SymbolDraft* draft) {
  const std::string_view type = node_type(node);
  if (type == "function_definition" || type == "declaration" || type == "field_declaration") {
    const Declared declared = declared_by(node);
    // `class EXPORT_MACRO Name { ... }` parses as a function called Name that returns class EXPORT_MACRO.
    if (type == "function_definition" && !declared.function && is(declared.name, "identifier") &&
        (is(field(node, "type"), "class_specifier") || is(field(node, "type"), "struct_specifier")))
      draft->kind = "class";
    const bool wanted = !ts_node_is_null(declared.name) &&
                        (declared.function || type == "function_definition") &&
                        !is(field(node, "declarator"), "init_declarator");
    draft->name = wanted ? dotted(fold_space(node_text(declared.name, text))) : "";
    if (has_ancestor(ancestors, "compound_statement")) draft->name.clear();
    if (draft->in_class || is(declared.name, "qualified_identifier")) draft->kind = "method";
  } else if (type == "type_definition") {
    const Declared declared = declared_by(node);
    draft->name = ts_node_is_null(declared.name) ? "" : std::string(node_text(declared.name, text));
    draft->body = field(field(node, "type"), "body");
  } else if (type == "preproc_def") {
    if (ts_node_is_null(field(node, "value"))) draft->name.clear();  // an include guard or a flag
  } else if (type == "namespace_definition") {
    draft->name = dotted(draft->name);
    if (draft->name.empty()) draft->name = "(anonymous)";
  } else if (type.size() > 10 && type.substr(type.size() - 10) == "_specifier") {
    if (ts_node_is_null(draft->body)) draft->name.clear();  // a use of the type, not its definition
  }
}

}  // namespace

SymbolTable c_symbols() {
  SymbolTable table;
  table.rules = {{"function_definition", "function"},
                 {"declaration", "function"},
                 {"field_declaration", "method"},
                 {"struct_specifier", "struct", true},
                 {"union_specifier", "struct", true},
                 {"class_specifier", "class", true},
                 {"enum_specifier", "enum"},
                 {"type_definition", "type"},
                 {"alias_declaration", "type"},
                 {"concept_definition", "type"},
                 {"namespace_definition", "module", true, false},
                 {"preproc_def", "macro"},
                 {"preproc_function_def", "macro"}};
  table.wrappers = {"template_declaration"};
  table.refine = refine;
  return table;
}

}  // namespace retrace::synth
