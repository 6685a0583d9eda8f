// The synthesis stage: repositories in, one set of shards of trajectories out, every repository an item of
// its own. Torch-free: weights come in as Scorers.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/ranks.h"
#include "core/recipe.h"
#include "synth/hygiene/contamination.h"
#include "synth/input/source_list.h"
#include "synth/ledger.h"
#include "synth/scorer.h"
#include "synth/snapshot.h"

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
  // read, and judged by [hygiene]. `slice` names those of a run's slice, with what was found and decided when
  // the slices were cut (state "planned"): they are judged already.
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

// Writes into `out`: items/ while it works, then trajectories.traj (trajectories-NNNNN.traj beyond 4,096
// records), candidates.jsonl, duplicates.jsonl (files left out because an earlier repository has them, if
// any), example.html (one trajectory, a fragment), summary.json and, last, done.json; items/ goes. Bytes are
// a function of repositories, recipe, seed and scorers, at any number of ranks and after any kill. Ranks take
// repositories by leases in the coordinator; `out` must be one folder for all of them. Called again after
// completion with the same inputs it returns the summary at once (a null scorer then matches any, as long as
// weights_name is the same); other inputs are done anew. Every trajectory is replayed before it is written
// and after it is read back.
//
// out/ledger.db holds each source exactly once, with its state (synth/ledger.h). Each is read once to judge
// it, and once more, if it is worth having, to make its trajectory; one at a time is in memory, or one a
// worker. summary.json counts them by state and reason under "sources".
Json run_synthesis(const Recipe& recipe, const SynthJob& job);

// Lists and judges the sources, as run_synthesis does first, and makes nothing. Returns the counts by state
// on rank 0, where `use` gets the judged ledger; the others get null.
Json plan_synthesis(const Recipe& recipe, const SynthJob& job,
                    const std::function<void(Ledger&)>& use = nullptr);

// True where run_synthesis with a null scorer would return at once. Every rank asks.
bool is_synthesised(const Recipe& recipe, const SynthJob& job);

}  // namespace retrace::synth
