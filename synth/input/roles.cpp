#include "synth/input/roles.h"

#include <algorithm>
#include <string>

#include "synth/paths.h"

namespace retrace::synth {

namespace {

constexpr std::string_view kManifests[] = {
    "pyproject.toml", "setup.py",       "setup.cfg",        "requirements.txt", "manifest.in",
    "package.json",   "tsconfig.json",  "jsconfig.json",    "cargo.toml",       "go.mod",
    "go.work",        "cmakelists.txt", "makefile",         "gnumakefile",      "meson.build",
    "pom.xml",        "build.gradle",   "build.gradle.kts", "settings.gradle",  "configure.ac",
    "makefile.am",    "build.xml",      "tox.ini",          "meson_options.txt"};
constexpr std::string_view kDocumentFolders[] = {"doc", "docs", "documentation", "man", "manual"};
constexpr std::string_view kDocumentNames[] = {
    "readme",       "changelog",       "changes",   "history",   "news",      "authors",
    "contributing", "contributors",    "todo",      "copying",   "license",   "licence",
    "notice",       "code_of_conduct", "security",  "thanks",    "credits",   "install",
    "hacking",      "maintainers",     "copyright", "unlicense", "releasing", "upgrading"};
constexpr std::string_view kDocumentExtensions[] = {".md",  ".markdown", ".rst", ".adoc",    ".asciidoc",
                                                    ".tex", ".texi",     ".1",   ".3",       ".5",
                                                    ".7",   ".8",        ".pod", ".textile", ".org"};
constexpr std::string_view kTestFolders[] = {"test",       "tests",     "testing",  "__tests__",
                                             "spec",       "specs",     "testdata", "unittests",
                                             "unit_tests", "test-data", "test_data"};

template <class Table>
bool has(const Table& table, std::string_view word) {
  return std::find(std::begin(table), std::end(table), word) != std::end(table);
}

bool is_test(std::string_view path, std::string_view language) {
  const std::string folder = lower_ascii(path_folder(path));
  if (!folder.empty())
    for (std::string_view component : path_components(folder))
      if (has(kTestFolders, component)) return true;
  if (language.empty()) return false;
  const std::string_view stem = path_stem(path);
  const std::string lower = lower_ascii(stem);
  if (lower.starts_with("test_") || lower.ends_with("_test") || lower.ends_with("_tests") ||
      lower.ends_with(".test") || lower.ends_with(".spec") || lower.ends_with("_spec") ||
      lower.ends_with("-test") || lower.starts_with("test-"))
    return true;
  if (lower == "conftest" || lower == "test" || lower == "tests") return true;
  return language == "java" &&
         (stem.ends_with("Test") || stem.ends_with("Tests") || stem.ends_with("TestCase"));
}

bool in_document_folder(std::string_view path, bool top_only) {
  const std::string folder = lower_ascii(path_folder(path));
  if (folder.empty()) return false;
  const auto components = path_components(folder);
  if (top_only) return has(kDocumentFolders, components[0]);
  return std::any_of(components.begin(), components.end(),
                     [](std::string_view component) { return has(kDocumentFolders, component); });
}

bool has_document_name(std::string_view name, std::string_view extension) {
  const std::string_view stem = extension == ".txt" ? path_stem(name) : name;
  return std::any_of(std::begin(kDocumentNames), std::end(kDocumentNames), [&](std::string_view document) {
    return stem == document || name.starts_with(std::string(document) + ".") ||
           name.starts_with(std::string(document) + "-");
  });
}

}  // namespace

Role role_of(std::string_view path, std::string_view language) {
  const std::string name = lower_ascii(path_name(path));
  const std::string extension = lower_ascii(path_extension(path));
  if (has(kManifests, name)) return is_test(path, "") ? Role::test : Role::manifest;
  if (language.empty() && (extension == ".md" || name.starts_with("readme"))) return Role::documentation;
  if (in_document_folder(path, !language.empty())) return Role::documentation;
  if (is_test(path, language)) return Role::test;
  if (!language.empty()) return Role::source;
  if (has(kDocumentExtensions, extension) || has_document_name(name, extension)) return Role::documentation;
  return Role::source;
}

}  // namespace retrace::synth
