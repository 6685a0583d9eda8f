// A trajectory for human eyes: in the terminal, as HTML without script, as JSON.
#pragma once

#include <cstddef>
#include <filesystem>
#include <ostream>
#include <string>

#include "synth/record/trajectory.h"

namespace retrace::synth {

struct ShowOptions {
  size_t index = 0;                   // which record of the shard
  std::string as = "terminal";        // terminal | html (one page) | json (the record)
  bool colour = false, full = false;  // terminal: colours, no folding
};

// Prints one record of a trajectory shard; false if `file` is no trajectory shard. What the search tried is
// read from the candidates.jsonl beside the shard, if there is one.
bool show_trajectory(const std::filesystem::path& file, const ShowOptions& options, std::ostream& out);

}  // namespace retrace::synth
