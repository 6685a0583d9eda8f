// What a run starts from: repositories cut into rounds, development and test; the tokenizer; the held-out
// texts. All of it is decided once, written into the run folder, and checked against it when a run continues.
// Of a repository that is not being read, half a KiB is in memory.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "core/files/files.h"
#include "core/ranks/ranks.h"
#include "core/recipe/recipe.h"
#include "data/tokenizer/tokenizer.h"
#include "synth/slice_file.h"
#include "synth/synthesis.h"

namespace retrace::loop {

struct RunInputs {
  fs::path file;                                              // slices.json
  std::set<std::string> folds;                                // that hold a repository: train, dev, test
  synth::SnapshotOptions reading;                             // of every repository, before contamination
  std::shared_ptr<const synth::Contamination> contamination;  // null: nothing is checked

  bool has(const std::string& fold) const { return folds.count(fold) > 0; }
  // The repositories of a fold (round: from 1; 0 for held-out ones), in the order of slices.json.
  void each(const std::string& fold, int round,
            const std::function<void(const synth::SliceEntry&)>& use) const;
  // The same as snapshots: one at a time in memory, checked against their tree hashes.
  void each_snapshot(const std::string& fold, int round,
                     const std::function<void(const synth::Snapshot&)>& use) const;
};

// The ranks read the repositories of synth.input, [hygiene] selects among them (RUN/sources/ledger.db), and
// rank 0 cuts what is left into slices (whole near-duplicate clusters) and writes slices.json and
// heldout/{dev,test}.jsonl. A repository of which another was found when the run goes on is Error{input}.
RunInputs prepare_inputs(const Recipe& recipe, const fs::path& run, const Ranks& ranks);

// The run's tokenizer: tokenizer.path, else the model folder's, else one trained on the first slice (rank 0)
// and kept in RUN/tokenizer.
struct RunTokenizer {
  fs::path path;
  std::shared_ptr<const data::Tokenizer> tokenizer;
};
RunTokenizer prepare_tokenizer(const Recipe& recipe, const fs::path& run, const RunInputs& inputs,
                               const Ranks& ranks);

}  // namespace retrace::loop
