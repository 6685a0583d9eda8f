// The step-N folders of a run: they appear whole or not at all, and are found again newest first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "train/config.h"

namespace retrace::train {

struct CheckpointFolder {
  std::filesystem::path path;
  int64_t step = 0;
};

// Folders named step-N, newest first, verified or not.
std::vector<CheckpointFolder> list_checkpoints(const std::filesystem::path& root);
// Removes what a killed save or purge left behind.
void clean_leftovers(const std::filesystem::path& root);
// Removes checkpoints of this round beyond `keep`, except the last of a round and multiples of keep_every.
// Those of other rounds stay. Failpoint: during_purge.
void purge_checkpoints(const std::filesystem::path& root, const CheckpointConfig& config, int64_t round,
                       int64_t step);
// Moves the round's checkpoints out of the way of a run that begins anew (step-N.superseded).
void supersede_checkpoints(const std::filesystem::path& root, int64_t round);

}  // namespace retrace::train
