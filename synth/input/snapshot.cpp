// take_snapshot: lists, filters by path, reads, redacts, filters by content, and sorts it all.
#include "synth/input/snapshot.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "data/packing/text_stream.h"
#include "synth/config.h"
#include "synth/input/filter.h"
#include "synth/input/jsonl.h"
#include "synth/input/languages.h"
#include "synth/input/licence/licence.h"
#include "synth/input/redact/redact.h"
#include "synth/input/source.h"
#include "synth/input/source_list.h"
#include "synth/input/tree_hash.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

namespace fs = std::filesystem;
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr uint64_t kUnpackedPerKept = 16;  // an archive may hold this many times what a repository may keep

std::unique_ptr<Source> open_source(const SourceName& name) {
  if (!fs::is_directory(name.path)) {
    if (is_archive_name(name.path)) return open_archive(name.path);
    throw Error(Code::input, "neither a folder nor an archive",
                "archives end in .tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst, .tgz or .zip",
                name.path.string());
  }
  if (is_git_repository(name.path)) return open_git(name.path, name.revision);
  if (!name.revision.empty())
    throw Error(Code::input,
                fmt::format("revision '{}' asked of a folder that is no git repository", name.revision), "",
                name.path.string());
  return open_folder(name.path);
}

std::string base_name(const fs::path& path) {
  fs::path clean = fs::absolute(path).lexically_normal();
  if (clean.filename().empty()) clean = clean.parent_path();
  const std::string name = clean.filename().string();
  return is_utf8(name) && !name.empty() ? redact(name).text : "repository";
}

// "name-1.0/" if every entry stands below one folder, else "".
std::string common_top(const std::vector<SourceEntry>& entries) {
  std::string top;
  for (const auto& entry : entries) {
    const size_t slash = entry.path.find('/');
    if (slash == entry.path.npos || slash == 0) return "";
    const std::string first = entry.path.substr(0, slash + 1);
    if (top.empty()) top = first;
    if (first != top || first == "../") return "";
  }
  return top;
}

class Collector {
 public:
  Collector(Snapshot* snapshot, const SnapshotOptions& options) : snapshot_(*snapshot), options_(options) {}

  void drop(const std::string& path, const std::string& reason) {
    const std::string shown = printable_path(path);
    snapshot_.dropped.push_back({is_utf8(shown) ? redact(shown).text : shown, reason});
  }

  bool wants(const SourceEntry& entry) {
    std::string reason = entry.problem;
    if (reason.empty()) reason = refuse_by_path(entry.path, entry.size_bytes, options_);
    if (reason.empty() && !redact(entry.path).spans.empty()) reason = "secret_in_path";
    if (!reason.empty()) drop(entry.path, reason);
    return reason.empty();
  }

  void take(const SourceEntry& entry, const std::string& bytes) {
    std::string reason =
        bytes.size() > options_.max_file_bytes ? "too_large" : refuse_by_bytes(entry.path, bytes);
    if (!reason.empty()) return drop(entry.path, reason);
    RedactedText redacted = redact(bytes);
    SourceFile file{entry.path, std::move(redacted.text), "", entry.mode};
    file.language = language_of(file.path, file.content);
    licence_.observe(file.path, file.content, !file.language.empty());
    reason = refuse_by_text(file.path, file.language, file.content, options_);
    if (reason.empty() && options_.refuse) reason = options_.refuse(file);
    if (!reason.empty()) return drop(file.path, reason);
    kept_bytes_ += file.content.size();
    if (kept_bytes_ > options_.max_repository_bytes)
      throw Error(Code::input, fmt::format("more than {} bytes of source", options_.max_repository_bytes),
                  "name a part of the repository", snapshot_.origin);
    for (const auto& span : redacted.spans)
      snapshot_.redactions.push_back({file.path, span.kind, span.offset});
    snapshot_.files.push_back(std::move(file));
  }

  void finish() {
    settle_headers();
    auto& files = snapshot_.files;
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    std::stable_sort(snapshot_.redactions.begin(), snapshot_.redactions.end(),
                     [](const auto& a, const auto& b) { return a.path < b.path; });
    std::stable_sort(snapshot_.dropped.begin(), snapshot_.dropped.end(), [](const auto& a, const auto& b) {
      return a.path != b.path ? a.path < b.path : a.reason < b.reason;
    });
    snapshot_.licence = licence_.verdict();
    snapshot_.bytes_by_language = count_languages(files);
    snapshot_.tree_hash = tree_hash_of(files);
  }

 private:
  void settle_headers() {
    const bool has_cpp = std::any_of(snapshot_.files.begin(), snapshot_.files.end(),
                                     [](const auto& file) { return file.language == "cpp"; });
    for (auto& file : snapshot_.files)
      if (file.language == "h") file.language = has_cpp ? "cpp" : "c";
  }

  Snapshot& snapshot_;
  const SnapshotOptions& options_;
  LicenceEvidence licence_;
  uint64_t kept_bytes_ = 0;
};

// Of several entries with one path the last counts, as when an archive is unpacked. Of paths that only case
// or Unicode form tells apart the first in byte order counts, and a folder wins over a file of the same name.
std::vector<bool> without_twins(const std::vector<SourceEntry>& entries, std::vector<bool> wanted,
                                Collector* collector) {
  std::map<std::string, size_t> last;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!wanted[i]) continue;
    auto [place, is_new] = last.try_emplace(entries[i].path, i);
    if (is_new) continue;
    collector->drop(entries[place->second].path, "duplicate");
    wanted[place->second] = false;
    place->second = i;
  }
  std::set<std::string> folders, folded_files;
  for (const auto& [path, i] : last)
    for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
      folders.insert(folded_path(std::string_view(path).substr(0, slash)));
  for (const auto& [path, i] : last) {
    const std::string folded = folded_path(path);
    const bool conflict = folders.count(folded) > 0;
    if (!conflict && folded_files.insert(folded).second) continue;
    collector->drop(path, conflict ? "path_conflict" : "case_twin");
    wanted[i] = false;
  }
  return wanted;
}

// " (dropped: 3 binary, 1 empty)"
std::string reasons_text(const std::vector<Dropped>& dropped) {
  std::map<std::string, int> counts;
  for (const auto& one : dropped) ++counts[one.reason];
  std::string text;
  for (const auto& [reason, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, reason);
  return text.empty() ? ": it is empty" : " (dropped: " + text + ")";
}

// Everything but the name. Nothing is left out without an entry in `dropped`; no file may be left.
Snapshot take_from(Source& source, const std::string& origin, const SnapshotOptions& options) {
  Snapshot snapshot;
  snapshot.origin = origin;
  snapshot.kind = source.kind();
  snapshot.revision = source.revision();
  snapshot.date = source.date();
  const SourceLimits limits{options.max_entries, std::min(options.max_file_bytes, kMaxFileBytes),
                            options.max_repository_bytes > UINT64_MAX / kUnpackedPerKept
                                ? UINT64_MAX - 1
                                : options.max_repository_bytes * kUnpackedPerKept};
  std::vector<SourceEntry> entries = source.list(limits);
  if (snapshot.kind == "archive") {
    const size_t top = common_top(entries).size();
    for (auto& entry : entries) entry.path.erase(0, top);
  }
  Collector collector(&snapshot, options);
  std::vector<bool> wanted;
  for (const auto& entry : entries) wanted.push_back(collector.wants(entry));
  wanted = without_twins(entries, std::move(wanted), &collector);
  source.read(wanted, limits, [&](size_t i, const std::string& bytes) { collector.take(entries[i], bytes); });
  collector.finish();
  return snapshot;
}

Snapshot take_named(const std::string& source, const SnapshotOptions& options) {
  const SourceName name = parse_source_name(source);
  return take_from(*open_source(name), base_name(name.path), options);
}

}  // namespace

std::string tree_hash_of(const std::vector<SourceFile>& files) {
  Sha256 tree;
  for (const auto& file : files) {
    tree.add(file.path);
    tree.add(fmt::format("{}{:o} {}\n", '\0', file.mode, sha256_hex(file.content)));
  }
  return tree.hex();
}

std::map<std::string, uint64_t> count_languages(const std::vector<SourceFile>& files) {
  std::map<std::string, uint64_t> bytes;
  for (const auto& file : files) bytes[file.language.empty() ? "text" : file.language] += file.content.size();
  return bytes;
}

Snapshot take_snapshot(const std::string& source, const SnapshotOptions& options) {
  Snapshot snapshot = take_named(source, options);
  if (snapshot.files.empty())
    throw Error(Code::input, "no file is left of it" + reasons_text(snapshot.dropped),
                "name a repository with source files, or keep more of this one (synth.keep_*)", source);
  return snapshot;
}

struct SourceReader::State {
  std::string file;
  std::unique_ptr<data::TextStream> stream;
};

SourceReader::SourceReader() : state_(std::make_unique<State>()) {}
SourceReader::~SourceReader() = default;

Snapshot SourceReader::take(const SourceRef& source, const SnapshotOptions& options) {
  if (source.at < 0) return take_named(source.file, options);
  if (source.size_bytes < 0 || static_cast<uint64_t>(source.size_bytes) > kMaxJsonlRepositoryBytes)
    throw Error(Code::input,
                fmt::format("the repository has {} bytes of lines, more than {} MiB", source.size_bytes,
                            kMaxJsonlRepositoryBytes >> 20),
                "leave it out, or leave out its largest files", source.source);
  if (!state_->stream || state_->file != source.file) {
    state_->stream = std::make_unique<data::TextStream>(source.file);
    state_->file = source.file;
  }
  JsonlSource lines(
      state_->stream->read(static_cast<uint64_t>(source.at), static_cast<uint64_t>(source.size_bytes)),
      source.source);
  Snapshot snapshot = take_from(lines, "", options);
  const std::string& name = lines.repository();
  snapshot.origin = is_utf8(name) ? redact(printable_path(name)).text : "repository";
  if (snapshot.licence == "unknown" && !lines.licence().empty()) {
    const std::string id = licence_of_name(lines.licence());
    snapshot.licence = id.empty() ? lines.licence() : id;
  }
  return snapshot;
}

SnapshotOptions snapshot_options(const SynthConfig& config) {
  SnapshotOptions options;
  options.max_file_bytes = static_cast<uint64_t>(config.max_file_kib) << 10;
  options.keep_tests = config.keep_tests;
  options.keep_documentation = config.keep_documentation;
  return options;
}

}  // namespace retrace::synth
