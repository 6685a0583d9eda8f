// What a synthesis stage is asked to do: its sources, its models, and where its results go.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/ranks/ranks.h"
#include "core/recipe/recipe.h"
#include "synth/hygiene/contamination.h"
#include "synth/input/snapshot.h"
#include "synth/input/source_list.h"
#include "synth/search/scorer.h"
#include "synth/stage/ledger.h"

namespace retrace::synth {

struct LocalWriter;  // synth/generate/local_generator.h

// Who writes, scores and judges.
struct SynthModels {
  const LocalWriter* writer = nullptr;  // the weights of synth.generator = "local"
  Scorer* scorer = nullptr;             // null: no search, chosen = initial
  Scorer* judge = nullptr;              // re-measures the gains after the search; may be null
};

struct SynthJob {
  std::filesystem::path out;
  int round = 1;
  // The sources, in one of two ways; rank 0 asks. `list` names every one once or more, in any order: they are
  // read, and selected by [hygiene]. `slice` names those of a run's slice, with what was found and decided
  // when the slices were cut (state "planned"): they are selected already.
  std::function<void(const UseSource&)> list;
  std::function<void(const std::function<void(const LedgerRow&)>&)> slice;
  SnapshotOptions reading;
  std::function<Snapshot(const SourceRef&)> take;  // of sources that are no files; null: SourceReader
  bool cluster_signatures = false;                 // keep in the ledger what slices are cut by
  std::string fold = "train";                      // train | dev | test
  SynthModels models;
  // The same models once more for each repository that a rank makes at once, each used by one thread. Empty:
  // one at a time, with `models`.
  std::vector<SynthModels> workers;
  const Contamination* contamination = nullptr;  // files and thoughts in it are dropped; may be null
  Ranks ranks;
  std::string weights_name;  // what the scorer's weights are called in the record; "" without a scorer
};

}  // namespace retrace::synth
