// Which repositories an input names.
#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "synth/input/languages.h"
#include "synth/input/paths.h"
#include "synth/input/roles.h"
#include "synth/input/source.h"
#include "synth/snapshot.h"

namespace retrace::synth {

namespace {

struct Contents {
  bool has_files_of_a_repository = false;
  std::vector<std::string> candidates;
};

Contents look_into(const fs::path& folder) {
  Contents contents;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const fs::file_status status = entry->symlink_status();
    if (name[0] == '.') continue;
    if (fs::is_symlink(status)) {
      warn("{}: a symbolic link is not followed", entry->path().string());
    } else if (fs::is_directory(status)) {
      contents.candidates.push_back(entry->path().string());
    } else if (fs::is_regular_file(status) && is_archive_name(entry->path())) {
      contents.candidates.push_back(entry->path().string());
    } else if (const std::string language = language_of(name, "");
               !language.empty() || role_of(name, language) == Role::manifest) {
      contents.has_files_of_a_repository = true;
    }
  }
  if (error) throw Error(Code::input, "the folder cannot be read: " + error.message(), "", folder.string());
  return contents;
}

// One repository or archive a line, relative to the list's folder; '#' starts a comment line.
std::vector<std::string> read_list(const fs::path& file) {
  constexpr uint64_t kMaxListBytes = uint64_t{256} << 20;
  const std::string text = read_file(file, kMaxListBytes);
  std::vector<std::string> sources;
  int line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    const std::string source = (file.parent_path() / line).string();  // an absolute line stays as it is
    try {
      parse_source_name(source);
    } catch (Error& error) {
      throw error.in(fmt::format("{}:{}", file.string(), line_number));
    }
    sources.push_back(source);
  }
  if (sources.empty()) throw Error(Code::input, "the list names no repository", "", file.string());
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  return sources;
}

}  // namespace

SourceName parse_source_name(const std::string& source) {
  std::error_code ignored;
  if (fs::exists(source, ignored)) return {source, ""};
  const size_t at = source.rfind('@');
  if (at != source.npos && at > 0 && at + 1 < source.size() &&
      fs::is_directory(source.substr(0, at), ignored))
    return {source.substr(0, at), source.substr(at + 1)};
  throw Error(Code::input, fmt::format("no such folder or archive: {}", source),
              "name a folder, a git repository (path@revision for a revision) or a .tar.* or .zip file");
}

std::vector<std::string> list_repositories(const std::string& input) {
  const SourceName name = parse_source_name(input);
  if (!fs::is_directory(name.path)) {
    if (is_archive_name(name.path)) return {input};
    if (name.path.extension() == ".txt") return read_list(name.path);
    throw Error(Code::input, "neither a folder, an archive nor a list",
                "archives end in .tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst, .tgz or .zip, lists in .txt",
                input);
  }
  if (is_git_repository(name.path)) return {input};
  Contents contents = look_into(name.path);
  if (contents.has_files_of_a_repository) return {input};
  std::sort(contents.candidates.begin(), contents.candidates.end());
  if (contents.candidates.empty())
    throw Error(Code::input, "no repository, archive or source file in this folder", "", input);
  return contents.candidates;
}

}  // namespace retrace::synth
