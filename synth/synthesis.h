// The synthesis stage: snapshots in, one shard of trajectories out, every repository an item of its own.
// Torch-free: weights come in as Scorers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/ranks.h"
#include "core/recipe.h"
#include "synth/scorer.h"
#include "synth/snapshot.h"

namespace retrace::synth {

struct SynthJob {
  std::filesystem::path out;
  int round = 1;
  const std::vector<Snapshot>* snapshots = nullptr;  // not copied; must outlive the call
  std::vector<int> which;                            // indices into *snapshots: the repositories of this job
  std::string fold = "train";                        // train | dev | test
  Scorer* scorer = nullptr;                          // null: no search, chosen = initial
  Scorer* judge = nullptr;                           // re-measures the gains after the search; may be null
  Ranks ranks;
  std::string weights_name;  // what the scorer's weights are called in the record; "" without a scorer
};

// Writes into `out`: items/ while it works (TREE.traj, TREE.candidates.jsonl, TREE.summary.json, each atomic;
// TREE is the snapshot's tree hash), then trajectories.traj (trajectories-NNNNN.traj beyond 4,096 records),
// candidates.jsonl, example.html (one trajectory, a fragment), summary.json and, last, done.json; items/
// goes. Bytes are a function of snapshots, recipe, seed and scorers, at any number of ranks and after any
// kill. Ranks take repositories by leases in the coordinator; `out` must be one folder for all of them.
// Called again after completion with the same inputs it returns the summary at once (a null scorer then
// matches any, as long as weights_name is the same); other inputs are done anew. Every trajectory is replayed
// before it is written and after it is read back.
Json run_synthesis(const Recipe& recipe, const SynthJob& job);

// True where run_synthesis with a null scorer would return at once: the job's inputs were all synthesised.
bool is_synthesised(const Recipe& recipe, const SynthJob& job);

}  // namespace retrace::synth
