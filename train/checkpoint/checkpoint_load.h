// Finding the checkpoint to resume from: newest first, and only one that verifies on every rank.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "train/checkpoint/manifest.h"
#include "train/sharding/shards.h"
#include "train/world.h"

namespace retrace::train {

// Loads the newest checkpoint of `round` that verifies on every rank, or `only` if it is given; what it
// refuses is named in warnings. `check` may throw to refuse a checkpoint of another recipe. All ranks call it
// and get the same answer.
std::optional<Manifest> load_newest(World& world, Shards& shards, const std::filesystem::path& root,
                                    int64_t round, const std::filesystem::path& only,
                                    const std::function<void(const Manifest&)>& check);

}  // namespace retrace::train
