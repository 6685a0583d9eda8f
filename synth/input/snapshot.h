// A repository as input: redacted files in memory, read from a folder, a git object database or an archive,
// with everything left out counted by reason. Nothing of the repository is ever run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace retrace::synth {

struct SourceFile {
  std::string path;      // relative, '/' separated, valid UTF-8, no "..", unique also when case is folded
  std::string content;   // after redaction: this is the ground truth
  std::string language;  // python, javascript, typescript, tsx, go, java, c, cpp, rust; "" = other text
  uint32_t mode = 0644;  // 0644 or 0755
};

struct Redaction {
  std::string path, kind;  // "email", "aws_key", "private_key", "token", ...
  uint64_t offset = 0;     // in the redacted content
};

struct Dropped {
  std::string path,
      reason;  // "binary", "too_large", "generated", "vendored", "minified", "symlink", "invalid_utf8", ...
};

struct Snapshot {
  std::string origin;    // as the user named it, without any folder of this machine in front (base name)
  std::string kind;      // folder | git | archive | jsonl
  std::string revision;  // git commit id, else ""
  std::string licence;   // SPDX id as found, "unknown" if not
  std::string date;      // of the git commit, else ""
  std::vector<SourceFile> files;  // sorted by path
  std::vector<Dropped> dropped;
  std::vector<Redaction> redactions;
  std::map<std::string, uint64_t> bytes_by_language;
  std::string tree_hash;  // SHA-256 over (path, mode, sha256(content)) of the files
};

struct SnapshotOptions {
  uint64_t max_file_bytes = uint64_t{1} << 20;
  uint64_t max_repository_bytes = uint64_t{64} << 20;
  uint64_t max_entries = 200000;
  bool keep_documentation = true, keep_tests = true, keep_vendored = false, keep_generated = false;
  // One more filter, of redacted text: the reason for refusing a file, or "". Must be thread-safe.
  std::function<std::string(const SourceFile& file)> refuse;
};

// What the recipe says of reading.
struct SynthConfig;
SnapshotOptions snapshot_options(const SynthConfig& config);

// Folder, git repository (HEAD; "path@revision" for another), .tar[.gz|.xz|.bz2|.zst], .zip or .whl. Hidden
// VCS folders are not content. A single top folder of an archive is stripped. Error{input} if there is no
// such thing or no file is left.
Snapshot take_snapshot(const std::string& source, const SnapshotOptions& options);

// The repositories that `input` names: a single repository, or a folder whose entries are repositories and
// archives (a folder with source files at its top is one repository), or a .txt file that names one a line.
// Sorted by name. Error{input} if there is none.
std::vector<std::string> list_repositories(const std::string& input);

}  // namespace retrace::synth
