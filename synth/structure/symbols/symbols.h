// Definitions of a file: a table for each language, and one walk that reads them all. Definitions inside
// function bodies are left out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "synth/structure.h"
#include "synth/structure/syntax/parse.h"

namespace retrace::synth {

// A node type that defines something.
struct SymbolRule {
  std::string_view node, kind;
  bool scope = false;    // what is defined inside is qualified by its name
  bool recorded = true;  // false: a scope that is no symbol (a namespace, an impl block)
  std::string_view name_field = "name";
};

// What the walk knows about a definition before it becomes a Symbol. A rule's `refine` may correct it; an
// empty name refuses it.
struct SymbolDraft {
  std::string_view kind;
  std::string name;
  TSNode body{};          // the signature ends where it begins; null: at the first '{' or line end
  TSNode stop{};          // where the signature ends, if not at the body
  bool in_class = false;  // directly inside a class-like scope
};

struct SymbolTable {
  std::vector<SymbolRule> rules;
  std::vector<std::string_view>
      wrappers;  // nodes that belong to the definition inside them (decorators, export)
  void (*refine)(TSNode node, const std::vector<TSNode>& ancestors, std::string_view text,
                 SymbolDraft* draft) = nullptr;
  bool docstring_inside = false;  // Python: the docstring is the first statement of the body
};

const SymbolTable* symbol_table(std::string_view language);  // null if there is none
SymbolTable python_symbols();
SymbolTable javascript_symbols();  // typescript and tsx too
SymbolTable go_symbols();
SymbolTable java_symbols();
SymbolTable c_symbols();  // cpp too
SymbolTable rust_symbols();

// Fills symbols and docstring.
void find_symbols(const SyntaxTree& tree, std::string_view language, FileStructure* file);

// Helpers shared by the tables.
std::string fold_space(std::string_view text);          // runs of white space become one blank, trimmed
std::string clean_comment(std::string_view comment);    // without comment marks
std::string clean_docstring(std::string_view literal);  // a Python string literal's text, dedented
std::string python_docstring(TSNode body, std::string_view text);  // "" if the first statement is no string
bool is_upper_name(std::string_view name);                         // MAX_SIZE

}  // namespace retrace::synth
