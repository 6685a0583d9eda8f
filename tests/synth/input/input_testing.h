// Folders, files and archives that the input tests build for themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "synth/input/snapshot.h"
#include "tests/shared.h"

namespace retrace::synth::testing {

namespace fs = std::filesystem;

using tests::error_of;
using tests::TempFolder;

void put(const fs::path& file, const std::string& bytes);  // makes the folders

struct Member {
  std::string name = {}, bytes = {};
  char type = '0';  // tar type flag: 0 file, 1 hard link, 2 symbolic link, 5 folder, 6 fifo
  std::string link = {};
  uint64_t claimed_bytes = UINT64_MAX;  // size in the header, if it should lie
};
std::string tar_bytes(const std::vector<Member>& members);  // ustar, names taken as they are
// Any format through libarchive: "gzip", "xz", "bzip2", "zstd" over tar, or "zip".
void write_archive(const fs::path& file, const std::string& format, const std::vector<Member>& members);
std::string gzip_bytes(const std::string& bytes);

// The reason for which a path was dropped, "" if it was not.
std::string reason_of(const Snapshot& snapshot, const std::string& path);
const SourceFile* file_of(const Snapshot& snapshot, const std::string& path);  // null if it is not there
std::vector<std::string> paths_of(const Snapshot& snapshot);
// A snapshot of literal files, without any source.
Snapshot snapshot_of(const std::vector<std::pair<std::string, std::string>>& files);

// Counts accesses to a folder that nobody may look into.
class Canary {
 public:
  explicit Canary(const fs::path& folder);
  ~Canary();
  Canary(const Canary&) = delete;
  Canary& operator=(const Canary&) = delete;
  int n_accesses();

 private:
  int fd_ = -1;
};

}  // namespace retrace::synth::testing
