// Imports in two steps: what each file says (extract), then which file of the tree that is (resolve). Nothing
// outside the snapshot is looked at; what is not in the tree is external.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "synth/structure.h"
#include "synth/structure/syntax/parse.h"

namespace retrace::synth {

struct ImportSite {
  std::string target;  // "os.path", "..util", "util.h", "./x", "crate::a::b", "com.acme.Util"
  std::vector<std::string> names;
  int line = 0;
  bool hard = true;
  std::string form;    // python: import | from; c: quoted | angled | macro; java: type | wildcard;
                       // rust: mod | use; javascript: require or ""; else ""
  std::string inside;  // rust: the inline modules around it; mod: the path attribute; java: static or ""
};

struct ExtractedImports {
  std::vector<ImportSite> imports;
  std::string package;                // go, java
  std::vector<std::string> declared;  // top-level names: go and java resolve same-package uses through them
  std::vector<std::string> nested;    // java: names of inner types and type parameters
  std::vector<std::string> identifiers;  // go and java: each that may be a type or package-level name, sorted
  std::vector<std::pair<std::string, int>>
      qualified;  // java: names with their package written out, and their line
};

ExtractedImports extract_imports(const SyntaxTree& tree, std::string_view language);
void extract_python(const SyntaxTree& tree, ExtractedImports* extracted);
void extract_c(const SyntaxTree& tree, ExtractedImports* extracted);
void extract_javascript(const SyntaxTree& tree, ExtractedImports* extracted);
void extract_go(const SyntaxTree& tree, ExtractedImports* extracted);
void extract_java(const SyntaxTree& tree, ExtractedImports* extracted);
void extract_rust(const SyntaxTree& tree, ExtractedImports* extracted);

// The tree by path.
class FileIndex {
 public:
  explicit FileIndex(const Snapshot& snapshot);
  int find(std::string_view path) const;                             // -1 if there is no such file
  bool has_folder(std::string_view folder) const;                    // "" is the root
  const std::vector<int>& in_folder(std::string_view folder) const;  // its files, sorted by path
  const std::vector<int>& named(std::string_view name) const;        // files of that base name, sorted
  const std::vector<std::string>& folders() const { return folder_names_; }
  const Snapshot& snapshot() const { return snapshot_; }
  const SourceFile& file(int i) const { return snapshot_.files[static_cast<size_t>(i)]; }

 private:
  const Snapshot& snapshot_;
  std::map<std::string, int, std::less<>> by_path_;
  std::map<std::string, std::vector<int>, std::less<>> by_folder_, by_name_;
  std::set<std::string, std::less<>> folders_;
  std::vector<std::string> folder_names_;
  std::vector<int> none_;
};

// Collects edges and counts of one repository.
class EdgeSink {
 public:
  void add(int from, int to, const ImportSite& site);
  void add_name(int from, int to, const ImportSite& site, const std::string& name);
  void soft_link(int from, int to, int line = 0);  // no import says so: same stem, same package
  void external() { ++n_external_; }
  void unresolved() { ++n_unresolved_; }
  void finish(Structure* structure);

 private:
  Edge& edge(int from, int to, int line, bool hard);
  std::map<std::pair<int, int>, Edge> edges_;
  int n_external_ = 0, n_unresolved_ = 0;
};

// Each resolves the files of its language.
using AllExtracted = std::vector<ExtractedImports>;  // parallel to Snapshot::files
void resolve_python(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink);
void resolve_c(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink);
void resolve_javascript(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink);
void resolve_go(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink);
void resolve_java(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink);
void resolve_rust(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink);
// Go: a file that uses a name which another file of its package declares.
void link_same_package(const FileIndex& index, const AllExtracted& extracted, const std::vector<int>& package,
                       EdgeSink* sink);

bool is_python_standard_module(std::string_view top_name);
bool is_c_standard_header(std::string_view header);

}  // namespace retrace::synth
