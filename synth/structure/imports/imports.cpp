#include "synth/structure/imports/imports.h"

#include <algorithm>

#include "synth/input/roles.h"
#include "synth/paths.h"

namespace retrace::synth {

ExtractedImports extract_imports(const SyntaxTree& tree, std::string_view language) {
  ExtractedImports extracted;
  if (language == "python") extract_python(tree, &extracted);
  if (language == "c" || language == "cpp") extract_c(tree, &extracted);
  if (language == "javascript" || language == "typescript" || language == "tsx")
    extract_javascript(tree, &extracted);
  if (language == "go") extract_go(tree, &extracted);
  if (language == "java") extract_java(tree, &extracted);
  if (language == "rust") extract_rust(tree, &extracted);
  return extracted;
}

FileIndex::FileIndex(const Snapshot& snapshot) : snapshot_(snapshot) {
  folders_.insert("");
  for (size_t i = 0; i < snapshot.files.size(); ++i) {
    const std::string& path = snapshot.files[i].path;
    const int file = static_cast<int>(i);
    by_path_[path] = file;
    by_folder_[std::string(path_folder(path))].push_back(file);
    by_name_[std::string(path_name(path))].push_back(file);
    for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
      folders_.insert(path.substr(0, slash));
  }
  folder_names_.assign(folders_.begin(), folders_.end());
}

int FileIndex::find(std::string_view path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? -1 : found->second;
}

bool FileIndex::has_folder(std::string_view folder) const {
  return folders_.count(folder) > 0;
}

const std::vector<int>& FileIndex::in_folder(std::string_view folder) const {
  const auto found = by_folder_.find(folder);
  return found == by_folder_.end() ? none_ : found->second;
}

const std::vector<int>& FileIndex::named(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? none_ : found->second;
}

Edge& EdgeSink::edge(int from, int to, int line, bool hard) {
  auto [place, is_new] = edges_.try_emplace({from, to});
  Edge& edge = place->second;
  if (is_new) {
    edge.from = from;
    edge.to = to;
    edge.hard = hard;
    edge.line = line;
  } else {
    edge.hard = edge.hard || hard;
    if (edge.line == 0 || (line > 0 && line < edge.line)) edge.line = line;
  }
  return edge;
}

void EdgeSink::add(int from, int to, const ImportSite& site) {
  if (from == to) return;
  Edge& found = edge(from, to, site.line, site.hard);
  for (const auto& name : site.names)
    if (std::find(found.names.begin(), found.names.end(), name) == found.names.end())
      found.names.push_back(name);
}

void EdgeSink::add_name(int from, int to, const ImportSite& site, const std::string& name) {
  ImportSite one = site;
  one.names = {name};
  add(from, to, one);
}

void EdgeSink::soft_link(int from, int to, int line) {
  if (from != to) edge(from, to, line, false);
}

void EdgeSink::finish(Structure* structure) {
  structure->edges.clear();
  for (auto& [key, edge] : edges_) structure->edges.push_back(std::move(edge));
  structure->external_imports = n_external_;
  structure->unresolved_imports = n_unresolved_;
}

void link_same_package(const FileIndex& index, const AllExtracted& extracted, const std::vector<int>& package,
                       EdgeSink* sink) {
  constexpr size_t kMaxDeclarers = 4;  // beyond that a name ("main", build variants) says nothing
  std::map<std::string_view, std::vector<int>> declares;
  for (int file : package)
    for (const auto& name : extracted[static_cast<size_t>(file)].declared) declares[name].push_back(file);
  for (int user : package)
    for (const auto& name : extracted[static_cast<size_t>(user)].identifiers) {
      const auto found = declares.find(name);
      if (found == declares.end() || found->second.size() > kMaxDeclarers || name == "_" || name == "init")
        continue;
      const auto& files = found->second;
      if (std::find(files.begin(), files.end(), user) != files.end()) continue;
      for (int file : files) {
        const SourceFile &from = index.file(user), &to = index.file(file);
        const bool source_on_test =
            role_of(to.path, to.language) == Role::test && role_of(from.path, from.language) != Role::test;
        if (from.language == to.language && !source_on_test) sink->soft_link(user, file);
      }
    }
}

}  // namespace retrace::synth
