// C and C++: #include by the preprocessor's rules where the tree shows its include folders, else by the only
// file whose path ends as written.
#include <algorithm>

#include "synth/paths.h"
#include "synth/structure/imports/imports.h"

namespace retrace::synth {

namespace {

bool ends_with_path(std::string_view path, std::string_view tail) {
  if (path.size() < tail.size() || path.substr(path.size() - tail.size()) != tail) return false;
  return path.size() == tail.size() || path[path.size() - tail.size() - 1] == '/';
}

size_t common_prefix_folders(std::string_view a, std::string_view b) {
  const auto left = path_components(path_folder(a)), right = path_components(path_folder(b));
  size_t n = 0;
  while (n < left.size() && n < right.size() && left[n] == right[n]) ++n;
  return n;
}

bool is_header(std::string_view path) {
  const std::string extension = lower_ascii(path_extension(path));
  return extension == ".h" || extension == ".hh" || extension == ".hpp" || extension == ".hxx" ||
         extension == ".h++";
}

class IncludeResolver {
 public:
  IncludeResolver(const FileIndex& index, EdgeSink* sink) : index_(index), sink_(*sink) {
    for (const char* folder : {"include", "inc", "src", ""})
      if (index.has_folder(folder)) include_folders_.emplace_back(folder);
    for (const auto& folder : index.folders()) {
      const std::string_view name = path_name(folder);
      if ((name == "include" || name == "inc") && folder != "include" && folder != "inc")
        include_folders_.push_back(folder);
    }
  }

  void resolve(int file, const ImportSite& site) {
    if (site.form == "macro") return sink_.unresolved();
    std::string normal;
    const std::string& path = index_.file(file).path;
    const bool inside = normalise_path(join_path(path_folder(path), site.target), &normal);
    if (site.form == "quoted" && inside)
      if (const int found = index_.find(normal); found >= 0) return sink_.add(file, found, site);
    if (site.form == "angled" && is_c_standard_header(site.target)) return sink_.external();
    if (const int found = in_include_folders(path, site.target); found >= 0)
      return sink_.add(file, found, site);
    if (is_c_standard_header(site.target)) return sink_.external();
    if (const int made_from = template_of(path, site.target); made_from >= 0)
      return sink_.soft_link(file, made_from, site.line);
    bool ambiguous = false;
    const int found = by_suffix(path, site.target, &ambiguous);
    if (found >= 0) return sink_.add(file, found, site);
    if (ambiguous || site.form == "quoted")
      sink_.unresolved();
    else
      sink_.external();
  }

  // foo.c belongs to foo.h even when it does not include it: in its folder, or as the only header of that
  // stem.
  void link_stem(int file) {
    const std::string& path = index_.file(file).path;
    if (is_header(path)) return;
    const std::string stem(path_stem(path));
    int only = -1, count = 0;
    for (const char* extension : {".h", ".hh", ".hpp", ".hxx"}) {
      const int beside = index_.find(join_path(path_folder(path), stem + extension));
      if (beside >= 0) return sink_.soft_link(file, beside);
      for (int candidate : index_.named(stem + extension)) {
        only = candidate;
        ++count;
      }
    }
    if (count == 1) sink_.soft_link(file, only);
  }

 private:
  int in_include_folders(const std::string& from, const std::string& target) const {
    int best = -1;
    size_t best_shared = 0;
    for (const auto& folder : include_folders_) {
      std::string normal;
      if (!normalise_path(join_path(folder, target), &normal)) continue;
      const int found = index_.find(normal);
      if (found < 0) continue;
      const size_t shared = common_prefix_folders(from, normal);
      if (best < 0 || shared > best_shared) best = found, best_shared = shared;
    }
    return best;
  }

  // config.h.in and its like: the header is made when the project is configured, so that a file of that name
  // elsewhere (another system's ready-made one) is not it.
  int template_of(const std::string& from, const std::string& target) const {
    int best = -1;
    size_t best_shared = 0;
    for (const char* ending : {".in", ".cmake", ".cmake.in", ".cmakein"})
      for (int candidate : index_.named(std::string(path_name(target)) + ending)) {
        const size_t shared = common_prefix_folders(from, index_.file(candidate).path);
        if (best < 0 || shared > best_shared) best = candidate, best_shared = shared;
      }
    return best;
  }

  // Of several files with that ending the one that shares most leading folders with the including file; a tie
  // is ambiguous.
  int by_suffix(const std::string& from, const std::string& target, bool* ambiguous) const {
    std::string tail;
    std::string_view written = target;
    while (written.substr(0, 3) == "../" || written.substr(0, 2) == "./")
      written.remove_prefix(written[1] == '.' ? 3 : 2);
    if (!normalise_path(written, &tail) || tail.empty()) return -1;
    int best = -1;
    size_t best_shared = 0, n_best = 0;
    for (int candidate : index_.named(path_name(tail))) {
      const std::string& path = index_.file(candidate).path;
      if (!ends_with_path(path, tail)) continue;
      const size_t shared = common_prefix_folders(from, path);
      if (n_best == 0 || shared > best_shared) {
        best = candidate;
        best_shared = shared;
        n_best = 1;
      } else if (shared == best_shared) {
        ++n_best;
      }
    }
    *ambiguous = n_best > 1;
    return n_best == 1 ? best : -1;
  }

  const FileIndex& index_;
  EdgeSink& sink_;
  std::vector<std::string> include_folders_;
};

}  // namespace

void extract_c(const SyntaxTree& tree, ExtractedImports* extracted) {
  Mentions mentions(tree.text(), {"include"});
  walk(tree.root(), [&](TSNode node, const std::vector<TSNode>&) {
    if (!mentions.in(node)) return false;
    if (!is(node, "preproc_include")) return true;
    const TSNode path = field(node, "path");
    ImportSite site;
    site.line = node_line(node);
    site.target = std::string(node_text(path, tree.text()));
    site.form = is(path, "string_literal") ? "quoted" : is(path, "system_lib_string") ? "angled" : "macro";
    if (site.form != "macro" && site.target.size() >= 2)
      site.target = site.target.substr(1, site.target.size() - 2);
    if (!site.target.empty()) extracted->imports.push_back(std::move(site));
    return false;
  });
}

void resolve_c(const FileIndex& index, const AllExtracted& extracted, EdgeSink* sink) {
  IncludeResolver resolver(index, sink);
  for (size_t i = 0; i < extracted.size(); ++i) {
    const int file = static_cast<int>(i);
    const std::string& language = index.file(file).language;
    if (language != "c" && language != "cpp") continue;
    for (const auto& site : extracted[i].imports) resolver.resolve(file, site);
    resolver.link_stem(file);
  }
}

}  // namespace retrace::synth
