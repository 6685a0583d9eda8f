#include "synth/input/filter.h"

#include <algorithm>
#include <cstring>

#include "synth/input/roles.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

constexpr std::string_view kVendoredFolders[] = {
    "node_modules", "bower_components", "vendor",     "vendors",  "_vendor",       "vendored",
    "third_party",  "third-party",      "thirdparty", "3rdparty", "3rd_party",     "godeps",
    "extern",       "externals",        "external",   "deps",     "site-packages", "jspm_packages"};
constexpr std::string_view kBuildFolders[] = {"__pycache__", "dist", "_build", "autom4te.cache",
                                              "cmakefiles"};
constexpr std::string_view kVendoredNames[] = {"doctest.h",     "catch.hpp",  "gtest.h", "ez_setup.py",
                                               "versioneer.py", "get-pip.py", "waf",     "sqlite3.c"};
constexpr std::string_view kVendoredStarts[] = {"jquery.", "jquery-", "bootstrap.", "bootstrap-",
                                                "modernizr-"};
constexpr std::string_view kLockFiles[] = {
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock",  "pnpm-lock.yaml",
    "bun.lock",          "cargo.lock",          "go.sum",     "go.work.sum",
    "poetry.lock",       "pipfile.lock",        "pdm.lock",   "uv.lock",
    "composer.lock",     "gemfile.lock",        "flake.lock", "mix.lock",
    "pubspec.lock",      "gradle.lockfile"};
constexpr std::string_view kGeneratedNames[] = {
    "pkg-info",   "configure",    "aclocal.m4",     "ltmain.sh",    "libtool.m4",       "ltoptions.m4",
    "ltsugar.m4", "ltversion.m4", "lt~obsolete.m4", "config.guess", "config.sub",       "install-sh",
    "depcomp",    "missing",      "mkinstalldirs",  "test-driver",  "ylwrap",           "makefile.in",
    "gradlew",    "gradlew.bat",  "mvnw",           "mvnw.cmd",     ".secrets.baseline"};
constexpr std::string_view kGeneratedEnds[] = {
    ".pb.go",  ".pb.cc",  ".pb.h",    "_pb2.py",  "_pb2.pyi",      "_pb2_grpc.py", ".pb-c.c",
    ".pb-c.h", ".js.map", ".css.map", ".min.map", "_generated.go", ".g.dart",      "_string.go"};
constexpr std::string_view kBinaryExtensions[] = {
    ".png", ".jpg", ".jpeg", ".gif", ".ico",  ".bmp", ".webp", ".pdf", ".zip",   ".gz",
    ".bz2", ".xz",  ".zst",  ".tar", ".tgz",  ".7z",  ".jar",  ".war", ".class", ".so",
    ".a",   ".o",   ".dll",  ".exe", ".pyc",  ".whl", ".egg",  ".ttf", ".woff",  ".woff2",
    ".eot", ".otf", ".mp3",  ".mp4", ".ogg",  ".wav", ".avi",  ".mov", ".db",    ".sqlite",
    ".npy", ".npz", ".pkl",  ".bin", ".wasm", ".mo",  ".psd",  ".tiff"};

struct DataRule {
  std::string_view extension;
  uint64_t max_bytes;
};
constexpr DataRule kData[] = {{".json", 16384},  {".json5", 16384}, {".yaml", 32768}, {".yml", 32768},
                              {".xml", 16384},   {".csv", 4096},    {".tsv", 4096},   {".jsonl", 4096},
                              {".ndjson", 4096}, {".svg", 4096},    {".geojson", 0},  {".po", 0},
                              {".pot", 0},       {".ipynb", 0},     {".log", 4096},   {".dat", 4096},
                              {".html", 32768},  {".htm", 32768},   {".sql", 65536},  {".snap", 0},
                              {".patch", 0},     {".diff", 0},      {".asc", 0},      {".sig", 0}};
constexpr std::string_view kDataFolders[] = {"testdata",      "test-data", "test_data", "fixtures",
                                             "__snapshots__", "corpus",    "testcases"};
constexpr uint64_t kMaxDataFolderBytes = 2048, kMaxOtherTextBytes = 65536;
constexpr size_t kMaxLineBytes = 1000, kMaxProseLineBytes = 5000, kMaxMeanWebLineBytes = 110;

template <class Table>
bool has(const Table& table, std::string_view word) {
  return std::find(std::begin(table), std::end(table), word) != std::end(table);
}
bool contains(std::string_view text, std::string_view what) {
  return text.find(what) != text.npos;
}

bool is_vendored(const std::vector<std::string_view>& folders, std::string_view name) {
  for (std::string_view folder : folders)
    if (has(kVendoredFolders, folder)) return true;
  if (has(kVendoredNames, name)) return true;
  return std::any_of(std::begin(kVendoredStarts), std::end(kVendoredStarts), [&](std::string_view start) {
    return name.starts_with(start) && (name.ends_with(".js") || name.ends_with(".css"));
  });
}

bool is_generated_name(const std::vector<std::string_view>& folders, std::string_view name) {
  for (std::string_view folder : folders)
    if (has(kBuildFolders, folder) || folder.ends_with(".egg-info") || folder.ends_with(".dist-info"))
      return true;
  if (has(kGeneratedNames, name)) return true;
  return std::any_of(std::begin(kGeneratedEnds), std::end(kGeneratedEnds),
                     [&](std::string_view end) { return name.ends_with(end); });
}

// Marks that generators leave near the top, in a comment (or, for autoconf and friends, anywhere on the
// line).
bool is_generated_text(std::string_view text) {
  constexpr size_t kMaxLines = 40;
  size_t begin = 0;
  for (size_t line_number = 0; line_number < kMaxLines && begin < text.size(); ++line_number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = lower_ascii(text.substr(begin, std::min<size_t>(end - begin, 400)));
    begin = end + 1;
    const size_t first = line.find_first_not_of(" \t");
    if (first == line.npos) continue;
    const std::string_view mark = std::string_view(line).substr(first);
    const bool comment = mark.starts_with("//") || mark.starts_with("/*") || mark.starts_with("*") ||
                         mark.starts_with("#") || mark.starts_with("--") || mark.starts_with("<!--") ||
                         mark.starts_with(";") || mark.starts_with("%");
    if (!comment) continue;
    if (contains(mark, "code generated by") && contains(mark, "do not edit")) return true;
    if (contains(mark, "@generated") && !contains(mark, "@generated by hand")) return true;
    for (const char* by : {"generated by the protocol buffer compiler",
                           "generated by cython",
                           "generated by gnu autoconf",
                           "generated automatically by aclocal",
                           "generated by automake",
                           "automatically generated by swig",
                           "file generated by setuptools",
                           "a bison parser, made by",
                           "a lexical scanner generated by flex",
                           "autogenerated by",
                           "auto-generated by",
                           "this file is automatically generated",
                           "this file was automatically generated",
                           "this file is auto-generated",
                           "this file was auto-generated",
                           "this file is generated by",
                           "this file was generated by",
                           "automatically generated file",
                           "generated file, do not edit",
                           "generated file. do not edit",
                           "generated file - do not edit",
                           "generated by re2c",
                           "do not edit this file directly"})
      if (contains(mark, by)) return true;
  }
  return false;
}

struct LineLengths {
  size_t longest = 0, mean = 0;
};

LineLengths line_lengths(std::string_view text) {
  LineLengths lengths;
  size_t lines = 0;
  for (size_t begin = 0; begin < text.size(); ++lines) {
    const void* newline = std::memchr(text.data() + begin, '\n', text.size() - begin);
    const size_t end =
        newline ? static_cast<size_t>(static_cast<const char*>(newline) - text.data()) : text.size();
    lengths.longest = std::max(lengths.longest, end - begin);
    begin = end + 1;
  }
  lengths.mean = lines ? text.size() / lines : 0;
  return lengths;
}

bool is_data(std::string_view path, std::string_view extension, std::string_view language,
             uint64_t size_bytes) {
  if (!language.empty()) return false;
  for (const auto& rule : kData)
    if (rule.extension == extension) return size_bytes > rule.max_bytes;
  const std::string folder = lower_ascii(path_folder(path));
  if (!folder.empty() && size_bytes > kMaxDataFolderBytes)
    for (std::string_view component : path_components(folder))
      if (has(kDataFolders, component)) return true;
  return size_bytes > kMaxOtherTextBytes && role_of(path, language) != Role::documentation;
}

}  // namespace

std::string refuse_by_path(std::string_view path, uint64_t size_bytes, const SnapshotOptions& options) {
  if (std::string problem = path_problem(path); !problem.empty()) return problem;
  const std::string lower = lower_ascii(path);
  const std::string_view name = path_name(lower);
  const std::string_view folder = path_folder(lower);
  const auto folders = folder.empty() ? std::vector<std::string_view>() : path_components(folder);
  if (!options.keep_vendored && is_vendored(folders, name)) return "vendored";
  if (has(kLockFiles, name)) return "lock_file";
  if (!options.keep_generated && is_generated_name(folders, name)) return "generated";
  if (has(kBinaryExtensions, path_extension(name))) return "binary";
  if (size_bytes > options.max_file_bytes) return "too_large";
  return "";
}

std::string refuse_by_bytes(std::string_view path, std::string_view bytes) {
  if (bytes.find_first_not_of(" \t\r\n\f\v") == bytes.npos)
    return path_name(path) == "__init__.py" ? "" : "empty";
  if (std::memchr(bytes.data(), 0, bytes.size()) != nullptr) return "binary";
  if (!is_utf8(bytes)) return "invalid_utf8";
  if (bytes.starts_with("version https://git-lfs.github.com/spec/")) return "lfs_pointer";
  return "";
}

std::string refuse_by_text(std::string_view path, std::string_view language, std::string_view text,
                           const SnapshotOptions& options) {
  const Role role = role_of(path, language);
  if (!options.keep_documentation && role == Role::documentation) return "documentation";
  if (!options.keep_tests && role == Role::test) return "test";
  // Packagers rewrite manifests and say so; they are still what the repository is built by.
  if (!options.keep_generated && role != Role::manifest && is_generated_text(text)) return "generated";
  const std::string lower = lower_ascii(path);
  const std::string_view extension = path_extension(lower);
  if (is_data(path, extension, language, text.size())) return "data";
  const LineLengths lengths = line_lengths(text);
  const bool web = language == "javascript" || extension == ".css";
  const bool named_minified = contains(path_name(lower), ".min.") || contains(path_name(lower), "-min.");
  if (web && (named_minified || lengths.mean > kMaxMeanWebLineBytes)) return "minified";
  if (lengths.longest > (language.empty() ? kMaxProseLineBytes : kMaxLineBytes)) return "long_line";
  return "";
}

}  // namespace retrace::synth
