#include "synth/skeleton/purpose.h"

#include <algorithm>
#include <initializer_list>

#include "core/text.h"
#include "synth/record/prose.h"

namespace retrace::synth {

namespace {

constexpr size_t kMaxPurpose = 120;

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

}  // namespace retrace::synth
