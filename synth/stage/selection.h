// Admission by [hygiene]: which of the repositories that were read are kept, decided one after the other in
// the ledger's order, so that of several that equal one another the first stays.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "synth/config.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/stage/ledger.h"

namespace retrace::synth {

class RepositorySelection {
 public:
  // What it must remember of earlier repositories lies in databases that are made anew: `scratch`, and
  // beside it scratch.files.
  RepositorySelection(const HygieneConfig& config, const std::filesystem::path& scratch, Ledger& ledger);
  ~RepositorySelection();
  // The reason is "" or empty_repository, licence, duplicate_repository, near_duplicate_repository, or
  // duplicate_files where every file that counts stands in earlier repositories. `duplicates`: what is left
  // out of a repository that is kept.
  struct Decision {
    std::string reason;
    std::vector<DuplicateFile> duplicates;
  };
  Decision decide(const LedgerRow& row);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether a policy allows a licence: an SPDX id, or an expression of them with AND, OR and WITH.
bool licence_allowed(const std::string& licence, const std::vector<std::string>& allowed);

}  // namespace retrace::synth
