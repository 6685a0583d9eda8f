#include "synth/generate/plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <initializer_list>

#include "core/text.h"
#include "synth/generate/prose.h"

namespace retrace::synth {

namespace {

constexpr size_t kMaxPurpose = 120;
constexpr size_t kMaxNamed = 8;  // dependencies that a row of the plan names

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view folder_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view("the project") : path.substr(0, slash);
}

std::string_view stem(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? name : name.substr(0, dot);
}

bool starts_with_any(std::string_view text, std::initializer_list<const char*> heads) {
  return std::any_of(heads.begin(), heads.end(), [&](const char* h) { return text.starts_with(h); });
}

std::string purpose_from_path(const SourceFile& file) {
  const std::string_view name = base_name(file.path);
  const std::string lower = to_lower(name);
  const std::string named = "`" + std::string(stem(name)) + "`";
  if (name == "__init__.py") return "Package entry of `" + std::string(folder_name(file.path)) + "`";
  if (starts_with_any(lower, {"readme", "changelog", "changes", "history", "contributing", "authors"}))
    return "Documentation for readers of the project";
  if (starts_with_any(lower, {"license", "licence", "copying", "notice"})) return "Licence text";
  if (starts_with_any(lower, {"setup.", "pyproject", "cargo.toml", "go.mod", "package.json", "pom.xml",
                              "cmakelists", "makefile", "meson", "build.gradle", "tsconfig"}))
    return "Build and package description";
  if (lower.starts_with("test_") || lower.find("_test.") != std::string::npos ||
      lower.find(".test.") != std::string::npos || lower.find(".spec.") != std::string::npos ||
      file.path.starts_with("tests/") || file.path.find("/tests/") != std::string::npos)
    return "Tests: " + named;
  if (lower.ends_with(".h") || lower.ends_with(".hpp") || lower.ends_with(".hh"))
    return "Declarations of " + named;
  if (lower.ends_with(".md") || lower.ends_with(".rst") || lower.ends_with(".txt"))
    return "Notes on " + named;
  if (file.language.empty()) return "Data or settings: " + named;
  return "Implementation of " + named;
}

}  // namespace

PlanLine plan_line(const Snapshot& snapshot, const Structure& structure, int file) {
  const auto index = static_cast<size_t>(file);
  const std::string sentence = first_sentence(structure.files[index].docstring, kMaxPurpose);
  if (!sentence.empty()) return {file, sentence, "docstring"};
  return {file, purpose_from_path(snapshot.files[index]), "path"};
}

std::string plan_head() {
  return "| # | file | purpose | depends on |\n|---|---|---|---|\n";
}

std::vector<int> dependencies_of(const Trajectory& t, int file, bool with_broken) {
  const std::vector<size_t> place = places_in_order(t);
  std::vector<int> out;
  for (const Dependency& d : t.dependencies)
    if (d.from == file && (with_broken || !d.broken)) out.push_back(d.to);
  std::sort(out.begin(), out.end(),
            [&](int a, int b) { return place[static_cast<size_t>(a)] < place[static_cast<size_t>(b)]; });
  return out;
}

std::vector<int> shown_dependencies(const Trajectory& t, int file) {
  std::vector<int> out = dependencies_of(t, file, true);
  if (out.size() > kMaxNamed) out.resize(kMaxNamed);
  return out;
}

std::vector<size_t> places_in_order(const Trajectory& t) {
  std::vector<size_t> place(t.tree.size());
  for (size_t i = 0; i < t.order.size(); ++i) place[static_cast<size_t>(t.order[i])] = i;
  return place;
}

std::string plan_row(const Trajectory& t, size_t place) {
  const int file = t.order[place];
  std::vector<std::string> names;
  const std::vector<int> needs = dependencies_of(t, file, true);
  for (int needed : shown_dependencies(t, file)) names.push_back(t.tree[static_cast<size_t>(needed)].path);
  std::string depends = names.empty() ? "-" : join(names, ", ");
  if (needs.size() > kMaxNamed) depends += fmt::format(" and {} more", needs.size() - kMaxNamed);
  return fmt::format("| {} | {} | {} | {} |\n", place + 1, t.tree[static_cast<size_t>(file)].path,
                     replace_all(t.plan[place].purpose, "|", "/"), depends);
}

std::string plan_table(const Trajectory& t) {
  std::string out = plan_head();
  for (size_t place = 0; place < t.order.size(); ++place) out += plan_row(t, place);
  return out;
}

}  // namespace retrace::synth
