// From a round's setup to its first step: what the machine computes with, the agreement of all ranks, and the
// weights to go on from.
#pragma once

#include <filesystem>
#include <optional>

#include "train/sharding/shards.h"
#include "train/step/round_setup.h"

namespace retrace::train {

// Sets this process up for computing, chooses the kernels and tests attention; then all ranks agree on what
// decides the result. Adds attention's backend to the setup's fingerprint.
void prepare_ranks(World& world, RoundSetup& setup, const TrainJob& job, const data::Mixture& mixture);

struct RoundStart {
  TrainProgress progress;
  std::optional<std::string> checkpoint;  // root hash of the one that the round continues from
};
// Fills the shards from the round's newest checkpoint in `root` that verifies, else with the start weights.
RoundStart load_start(World& world, const RoundSetup& setup, const TrainJob& job,
                      const data::Mixture& mixture, Shards& shards, const std::filesystem::path& root);

}  // namespace retrace::train
