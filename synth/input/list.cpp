// Which repositories an input names.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/random.h"
#include "synth/input/jsonl.h"
#include "synth/input/languages.h"
#include "synth/input/roles.h"
#include "synth/input/snapshot.h"
#include "synth/input/source.h"
#include "synth/input/source_list.h"
#include "synth/paths.h"

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
    } else if (fs::is_regular_file(status) &&
               (is_archive_name(entry->path()) || is_jsonl_name(entry->path()))) {
      contents.candidates.push_back(entry->path().string());
    } else if (const std::string language = language_of(name, "");
               !language.empty() || role_of(name, language) == Role::manifest) {
      contents.has_files_of_a_repository = true;
    }
  }
  if (error) throw Error(Code::input, "the folder cannot be read: " + error.message(), "", folder.string());
  return contents;
}

// One repository, archive or JSONL file a line, relative to the list's folder; '#' starts a comment line.
void read_list(const fs::path& file, const std::function<void(const std::string&, int)>& use) {
  std::ifstream lines(file, std::ios::binary);
  if (!lines) throw Error(Code::input, "the list cannot be read", "", file.string());
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    use((file.parent_path() / line).string(), number);  // an absolute line stays as it is
  }
  if (lines.bad()) throw Error(Code::io, "the list cannot be read to its end", "", file.string());
}

Error nothing_listed(const fs::path& file) {
  return Error(Code::input, "the list names no repository", "", file.string());
}

std::vector<std::string> listed_in(const fs::path& file) {
  std::vector<std::string> sources;
  read_list(file, [&](const std::string& source, int number) {
    try {
      parse_source_name(source);
    } catch (Error& error) {
      throw error.in(fmt::format("{}:{}", file.string(), number));
    }
    sources.push_back(source);
  });
  if (sources.empty()) throw nothing_listed(file);
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  return sources;
}

std::string stamp_of_file(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "";
  return fmt::format("{} {}.{:09}", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

// Names, sizes and times of everything below, whatever the sequence in which the system lists them.
std::string stamp_of_folder(const fs::path& folder) {
  std::error_code error;
  uint64_t sum = 0, n = 0;
  fs::recursive_directory_iterator entry(folder, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    if (path_problem(entry->path().filename().string()) == "vcs") {
      entry.disable_recursion_pending();
      continue;
    }
    struct stat info {};
    if (::lstat(entry->path().c_str(), &info) != 0) return "";
    const bool is_folder = S_ISDIR(info.st_mode);
    sum +=
        xxh3_64(fmt::format("{} {} {} {}.{}", entry->path().lexically_relative(folder).string(), info.st_mode,
                            is_folder ? 0 : info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
    ++n;
  }
  return error ? "" : fmt::format("{} {:016x}", n, mix64(sum));
}

std::string stamp_of(const SourceName& name) {
  if (!fs::is_directory(name.path)) return stamp_of_file(name.path);
  if (!is_git_repository(name.path)) return stamp_of_folder(name.path);
  try {
    return open_git(name.path, name.revision)->revision();
  } catch (const Error&) {
    return "";  // taking the snapshot will say what is wrong
  }
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
              "name a folder, a git repository (path@revision for a revision), a .tar.* or .zip file, or a "
              ".jsonl file");
}

std::vector<std::string> list_repositories(const std::string& input) {
  const SourceName name = parse_source_name(input);
  if (!fs::is_directory(name.path)) {
    if (is_archive_name(name.path)) return {input};
    if (name.path.extension() == ".txt") return listed_in(name.path);
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

void list_source(const std::string& name, const UseSource& use) {
  std::error_code ignored;
  if (is_jsonl_name(name) && fs::is_regular_file(name, ignored)) return list_jsonl(name, use);
  std::string stamp;
  try {
    stamp = stamp_of(parse_source_name(name));
  } catch (const Error&) {  // a name that does not exist fails when it is read
  }
  use({name, name, name, -1, 0, stamp});
}

void list_sources(const std::string& input, const UseSource& use) {
  if (const SourceName name = parse_source_name(input); !fs::is_directory(name.path)) {
    if (is_jsonl_name(name.path)) return list_jsonl(input, use);
    if (name.path.extension() == ".txt") {
      bool any = false;
      read_list(name.path, [&](const std::string& source, int) {
        list_source(source, use);
        any = true;
      });
      if (!any) throw nothing_listed(name.path);
      return;
    }
  }
  for (const std::string& source : list_repositories(input)) list_source(source, use);
}

}  // namespace retrace::synth
