// The synthesis stage: repositories in, one set of shards of trajectories out, every repository an item of
// its own. Torch-free: weights come in as Scorers.
#pragma once

#include <functional>

#include "core/json.h"
#include "core/recipe/recipe.h"
#include "synth/stage/job.h"

namespace retrace::synth {

// Writes into `out`: items/ while it works, then trajectories.traj (trajectories-NNNNN.traj beyond 4,096
// records), candidates.jsonl, duplicates.jsonl (files left out because an earlier repository has them, if
// any), example.html (one trajectory, a fragment), summary.json and, last, done.json; items/ goes. Bytes are
// a function of repositories, recipe, seed and scorers, at any number of ranks and after any kill. Ranks take
// repositories by leases in the coordinator; `out` must be one folder for all of them. Called again after
// completion with the same inputs it returns the summary at once (a null scorer then matches any, as long as
// weights_name is the same); other inputs are done anew. Every trajectory is replayed before it is written
// and after it is read back.
//
// out/ledger.db holds each source exactly once, with its state (synth/stage/ledger.h). Each is read once to
// select, and once more, if it is kept, to make its trajectory; one at a time is in memory, or one
// a worker. summary.json counts them by state and reason under "sources".
Json run_synthesis(const Recipe& recipe, const SynthJob& job);

// Lists, reads and selects the sources, as run_synthesis does first, and makes nothing. Returns the counts by
// state on rank 0, where `use` gets the ledger; the others get null.
Json plan_synthesis(const Recipe& recipe, const SynthJob& job,
                    const std::function<void(Ledger&)>& use = nullptr);

// True where run_synthesis with a null scorer would return at once. Every rank asks.
bool is_synthesised(const Recipe& recipe, const SynthJob& job);

}  // namespace retrace::synth
