// One trajectory in a terminal: statistics, then every step with its role, trained and masked text told apart
// (with colour: masked text is dim; without: lines begin with '+' or '.'), long bodies folded, and what the
// search tried at each thought. Nothing of the repository reaches the terminal but as visible_text().
#pragma once

#include <ostream>

#include "synth/record/trajectory.h"
#include "synth/view/search_log.h"

namespace retrace::synth {

struct TerminalOptions {
  bool colour = false;
  bool full = false;                // no folding
  size_t index = 0, n_records = 1;  // of the shard
};

void print_trajectory(const Trajectory& t, const SearchLog& log, const TerminalOptions& options,
                      std::ostream& out);

}  // namespace retrace::synth
