#include "synth/hygiene/duplicate_files.h"

#include <algorithm>
#include <set>

#include "core/base64.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/files/sqlite.h"
#include "core/hash.h"
#include "synth/hygiene/band_index.h"
#include "synth/hygiene/minhash.h"
#include "synth/input/tree_hash.h"

namespace retrace::synth {

std::vector<FileSignature> file_signatures(const Snapshot& snapshot, const HygieneConfig& config) {
  std::vector<FileSignature> signatures;
  if (config.duplicate_files == "keep") return signatures;
  for (const SourceFile& file : snapshot.files) {
    if (file.language.empty() ||
        static_cast<int64_t>(word_hashes(file.content, kCodeWords).size()) < config.duplicate_min_words)
      continue;
    FileSignature one = {file.path, file.language, sha256_hex(file.content),
                         static_cast<int64_t>(file.content.size()), ""};
    if (config.duplicate_files == "near") {
      std::vector<uint64_t> shingles;
      add_shingles(file.content, kCodeWords, &shingles);
      one.signature = pack_signature(minhash(&shingles));
    }
    signatures.push_back(std::move(one));
  }
  return signatures;
}

struct DuplicateFiles::State {
  State(const HygieneConfig& config, const fs::path& scratch)
      : near(config.duplicate_files == "near"),
        jaccard(config.file_jaccard),
        db(scratch, Database::Mode::scratch) {
    db.exec(
        "CREATE TABLE kept(id INTEGER PRIMARY KEY, file TEXT, signature BLOB);"
        "CREATE TABLE hashes(hash TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID;");
    bands = std::make_unique<BandIndex>(kDuplicateBands, db);
    db.exec("BEGIN;");
    add_kept = std::make_unique<Statement>(db, "INSERT INTO kept VALUES(?, ?, ?)");
    find_kept = std::make_unique<Statement>(db, "SELECT file, signature FROM kept WHERE id = ?");
    add_hash = std::make_unique<Statement>(db, "INSERT OR IGNORE INTO hashes VALUES(?, ?)");
    find_hash = std::make_unique<Statement>(db, "SELECT id FROM hashes WHERE hash = ?");
  }

  // The kept file with that id: its name, and its signature if asked for.
  std::string name_of(int64_t id, std::string* signature = nullptr) {
    find_kept->bind(1, id);
    ensure(find_kept->step(), "an id names a kept file");
    std::string name = find_kept->text(0);
    if (signature) *signature = find_kept->text(1);
    find_kept->reset();
    return name;
  }

  std::string equal_to(const FileSignature& file) {
    find_hash->bind(1, file.hash);
    int64_t id = 0;
    if (find_hash->step()) id = find_hash->number(0);
    find_hash->reset();
    return id == 0 ? "" : name_of(id);
  }

  // The earliest of those that are similar enough.
  std::string nearly_equal_to(const FileSignature& file) {
    if (!near || file.signature.empty()) return "";
    for (const int64_t id : bands->sharing(file.signature)) {
      std::string signature;
      std::string name = name_of(id, &signature);
      if (packed_jaccard(signature, file.signature) >= jaccard) return name;
    }
    return "";
  }

  void keep(const std::string& origin, const FileSignature& file) {
    ++n_kept;
    add_kept->bind(1, n_kept).bind(2, origin + ":" + file.path).bind_blob(3, file.signature).run();
    add_hash->bind(1, file.hash).bind(2, n_kept).run();
    bands->add(n_kept, file.signature);
  }

  bool near;
  double jaccard;
  Database db;
  std::unique_ptr<Statement> add_kept, find_kept, add_hash, find_hash;
  std::unique_ptr<BandIndex> bands;
  int64_t n_kept = 0;
};

DuplicateFiles::DuplicateFiles(const HygieneConfig& config, const fs::path& scratch)
    : state_(std::make_unique<State>(config, scratch)) {}
DuplicateFiles::~DuplicateFiles() = default;

std::vector<DuplicateFile> DuplicateFiles::find(const std::string& origin,
                                                const std::vector<FileSignature>& files) {
  std::vector<DuplicateFile> duplicates;
  std::vector<const FileSignature*> kept;
  for (const FileSignature& file : files) {
    std::string of = state_->equal_to(file);
    const bool near = of.empty();
    if (near) of = state_->nearly_equal_to(file);
    if (of.empty())
      kept.push_back(&file);
    else
      duplicates.push_back({file.path, std::move(of), file.language, file.size_bytes, near});
  }
  for (const FileSignature* file : kept) state_->keep(origin, *file);
  return duplicates;
}

void remove_duplicates(Snapshot* snapshot, const std::vector<DuplicateFile>& duplicates) {
  if (duplicates.empty()) return;
  std::map<std::string, const DuplicateFile*> gone;
  for (const DuplicateFile& d : duplicates) gone[d.path] = &d;
  const size_t before = snapshot->files.size();
  std::erase_if(snapshot->files, [&](const SourceFile& file) { return gone.count(file.path) > 0; });
  ensure(snapshot->files.size() + gone.size() == before, "the duplicates are files of this snapshot");
  std::erase_if(snapshot->redactions, [&](const Redaction& r) { return gone.count(r.path) > 0; });
  for (const auto& [path, duplicate] : gone) snapshot->dropped.push_back({path, duplicate->reason()});
  std::stable_sort(snapshot->dropped.begin(), snapshot->dropped.end(), [](const auto& a, const auto& b) {
    return a.path != b.path ? a.path < b.path : a.reason < b.reason;
  });
  snapshot->bytes_by_language = count_languages(snapshot->files);
  snapshot->tree_hash = tree_hash_of(snapshot->files);
}

Json to_json(const std::vector<FileSignature>& files) {
  Json out = Json::array();
  for (const FileSignature& f : files)
    out.push_back({{"path", f.path},
                   {"language", f.language},
                   {"hash", f.hash},
                   {"size_bytes", f.size_bytes},
                   {"signature", to_base64(f.signature)}});
  return out;
}

std::vector<FileSignature> file_signatures_from_json(const Json& json, const std::string& where) {
  std::vector<FileSignature> out;
  for (const Json& f : json)
    out.push_back({get<std::string>(f, "path", where), get<std::string>(f, "language", where),
                   get<std::string>(f, "hash", where), get<int64_t>(f, "size_bytes", where),
                   from_base64(get<std::string>(f, "signature", where), where)});
  return out;
}

Json to_json(const std::vector<DuplicateFile>& duplicates) {
  Json out = Json::array();
  for (const DuplicateFile& d : duplicates)
    out.push_back({{"path", d.path},
                   {"of", d.of},
                   {"language", d.language},
                   {"size_bytes", d.size_bytes},
                   {"near", d.near}});
  return out;
}

std::vector<DuplicateFile> duplicates_from_json(const Json& json, const std::string& where) {
  std::vector<DuplicateFile> out;
  for (const Json& d : json)
    out.push_back({get<std::string>(d, "path", where), get<std::string>(d, "of", where),
                   get<std::string>(d, "language", where), get<int64_t>(d, "size_bytes", where),
                   get<bool>(d, "near", where)});
  return out;
}

}  // namespace retrace::synth
