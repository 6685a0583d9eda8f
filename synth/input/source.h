// Where a repository's bytes come from. A source lists entries and reads contents within limits; it decides
// nothing about what is worth keeping. Nothing is written, run or followed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace retrace::synth {

struct SourceEntry {
  std::string path;  // as found, untrusted
  uint64_t size_bytes = 0;
  uint32_t mode = 0644;
  std::string
      problem;  // "symlink", "hardlink", "submodule", "special_file", "unreadable", "vcs", ...; not a file
};

struct SourceLimits {
  uint64_t max_entries = 0;
  uint64_t max_file_bytes = 0;
  uint64_t max_unpacked_bytes = 0;  // of an archive, all entries together
};

class Source {
 public:
  virtual ~Source() = default;
  virtual std::string kind() const = 0;  // folder | git | archive
  virtual std::string revision() const { return ""; }
  virtual std::string date() const { return ""; }
  // Everything there is. Error{input} above the limits, Error{corrupt} if the container is broken.
  virtual std::vector<SourceEntry> list(const SourceLimits& limits) = 0;
  // Contents of the entries whose flag is set, in any order, at most limits.max_file_bytes + 1 bytes each.
  using Receive = std::function<void(size_t entry, std::string bytes)>;
  virtual void read(const std::vector<bool>& wanted, const SourceLimits& limits, const Receive& receive) = 0;
};

std::unique_ptr<Source> open_folder(const std::filesystem::path& folder);
std::unique_ptr<Source> open_git(const std::filesystem::path& repository, const std::string& revision);
std::unique_ptr<Source> open_archive(const std::filesystem::path& file);

bool is_git_repository(const std::filesystem::path& folder);  // has .git, or is bare
bool is_archive_name(const std::filesystem::path& file);

// "path@revision" taken apart, if `path` is a folder; a path that exists as written has no revision.
struct SourceName {
  std::filesystem::path path;
  std::string revision;
};
SourceName parse_source_name(const std::string& source);

}  // namespace retrace::synth
