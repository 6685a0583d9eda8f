// Trajectories in the shapes that other trainers read. Derived, never read back.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "synth/record/trajectory.h"

namespace retrace::synth {

// Every record of a shard or of a folder of shards, one JSON line each, published at once. `format`: messages
// | sharegpt | atif | text | json (the record itself). Returns the number of lines. Error{usage} on another
// format.
size_t export_trajectories(const std::filesystem::path& from, const std::string& format,
                           const RenderOptions& options, const std::filesystem::path& to);

}  // namespace retrace::synth
