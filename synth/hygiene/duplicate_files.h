// Source files that stand in several repositories: the first repository in the ledger's order keeps them.
//
// What counts is a file in a programming language with at least hygiene.duplicate_min_words words: an empty
// __init__.py, a licence, a manifest or a stub equals many others and says nothing of copying. (CodeParrot's
// and The Stack's near-deduplication likewise sign no file of fewer than 10 tokens, and so keep it; theirs
// are also the 256 permutations and the threshold of 0.85.) Twins inside one repository stay.
//
// Left out by default is none of them: a trajectory rebuilds a whole repository, and a file that is taken
// away leaves its dependents with imports that lead nowhere.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "synth/config.h"
#include "synth/input/snapshot.h"

namespace retrace::synth {

// One file that counts, as a source leaves it in the ledger.
struct FileSignature {
  std::string path, language, hash;  // hash: SHA-256 of the content
  int64_t size_bytes = 0;
  std::string signature;  // MinHash, packed; "" unless near-duplicates are looked for
};
// Empty for hygiene.duplicate_files = "keep". A function of the snapshot and the recipe.
std::vector<FileSignature> file_signatures(const Snapshot& snapshot, const HygieneConfig& config);

// A file that is left out, and what it equals: "ORIGIN:PATH" of an earlier repository.
struct DuplicateFile {
  std::string path, of, language;
  int64_t size_bytes = 0;
  bool near = false;
  const char* reason() const { return near ? "near_duplicate_file" : "duplicate_file"; }
};

class DuplicateFiles {
 public:
  // What it must remember of earlier files lies in `scratch`, a database that is made anew.
  DuplicateFiles(const HygieneConfig& config, const std::filesystem::path& scratch);
  ~DuplicateFiles();
  // To be asked of one repository after the other, in order of the ledger. Where every file that counts is a
  // duplicate, none is remembered: nothing of such a repository is worth keeping.
  std::vector<DuplicateFile> find(const std::string& origin, const std::vector<FileSignature>& files);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Takes them out of a snapshot as it was read: into `dropped`, with a new tree hash.
void remove_duplicates(Snapshot* snapshot, const std::vector<DuplicateFile>& duplicates);

Json to_json(const std::vector<FileSignature>& files);
std::vector<FileSignature> file_signatures_from_json(const Json& json, const std::string& where);
Json to_json(const std::vector<DuplicateFile>& duplicates);
std::vector<DuplicateFile> duplicates_from_json(const Json& json, const std::string& where);

}  // namespace retrace::synth
