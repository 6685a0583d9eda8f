// What a run starts from: repositories cut into rounds, development and test; the tokenizer; the held-out
// texts. All of it is decided once, written into the run folder, and checked against it when a run continues.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/ranks.h"
#include "core/recipe.h"
#include "data/tokenizer.h"
#include "synth/snapshot.h"

namespace retrace {

struct Plan {
  struct Repository {
    std::string source, name, fold, tree_hash;  // fold: train | dev | test
    int round = 0, cluster = 0;                 // round: from 1; 0 for held-out repositories
  };
  std::vector<Repository> repositories;

  std::vector<int> of_round(int round) const;
  std::vector<int> of_fold(const std::string& fold) const;
};

// Rank 0 reads every repository of synth.input, cuts the slices (whole near-duplicate clusters), writes
// slices.json and heldout/{dev,test}.jsonl. Error{input} if a repository changed since the run began.
Plan prepare_plan(const Recipe& recipe, const fs::path& run, const Ranks& ranks);

// The snapshot of one repository of the plan, checked against its tree hash.
synth::Snapshot snapshot_of(const Recipe& recipe, const Plan::Repository& repository);

// The run's tokenizer: tokenizer.path, else the model folder's, else one trained on the first slice (rank 0)
// and kept in RUN/tokenizer.
struct RunTokenizer {
  fs::path path;
  std::shared_ptr<const data::Tokenizer> tokenizer;
};
RunTokenizer prepare_tokenizer(const Recipe& recipe, const fs::path& run, const Plan& plan,
                               const Ranks& ranks);

}  // namespace retrace
