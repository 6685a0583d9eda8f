// What tree-sitter and import resolution say about a snapshot: symbols, import edges, and the order of
// writing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "synth/input/snapshot.h"

namespace retrace::synth {

struct Symbol {
  std::string kind;       // function, class, method, struct, enum, interface, type, constant, macro, module
  std::string name;       // qualified inside the file: "Parser.next"
  std::string signature;  // first line(s) of the definition, whitespace folded, no body
  std::string docstring;  // docstring or the comment just above, cleaned of comment marks
  uint64_t begin = 0, end = 0;  // byte range in the file
};

struct FileStructure {
  std::string docstring;             // the file's leading docstring or comment
  std::vector<Symbol> symbols;       // in file order
  std::vector<std::string> imports;  // as written, for display: "os.path", "<vector>", "util.h"
  bool parsed = false;               // a grammar exists and the parse finished
  bool has_errors = false;           // ERROR nodes in the tree (still used)
};

struct Edge {
  int from = 0, to = 0;            // file indices: `from` imports `to`
  bool hard = true;                // false: type-only, function-local, containment
  bool broken = false;             // left out of the order to break a cycle
  int line = 0;                    // 1-based line of the import
  std::vector<std::string> names;  // imported names, if the language says so
};

struct Structure {
  std::vector<FileStructure> files;  // parallel to Snapshot::files
  std::vector<Edge> edges;           // sorted by (from, to), unique
  std::vector<int> order;            // writing order: a permutation of the file indices, dependencies first
  int unresolved_imports = 0, external_imports = 0;
};

}  // namespace retrace::synth
