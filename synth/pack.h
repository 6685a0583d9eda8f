// The packing stage: trajectories to MDS shards of exactly seq_len tokens with spans and loss mask.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/json.h"
#include "core/recipe/recipe.h"
#include "data/tokenizer/tokenizer.h"
#include "synth/record/trajectory.h"

namespace retrace::synth {

struct PackJob {
  std::filesystem::path trajectories, out;  // folder of *.traj shards; the data set's folder
  Variant variant = Variant::repo2agent_search;
  std::shared_ptr<const data::Tokenizer> tokenizer;
  std::string domain = "trajectories";
};

// Writes `out` (index.json, shards, pack.json) and, last, done.json. Same inputs give the same bytes; called
// again it returns pack.json at once. A part that would carry no trained token is dropped and counted, as are
// pieces that no cut makes as short as seq_len.
Json run_pack(const Recipe& recipe, const PackJob& job);

}  // namespace retrace::synth
