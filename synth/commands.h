// The verbs of this room, for the table in main.cpp. `retrace synth` is shared by ranks, so its verb stands
// in the root (loop_synth_verb.cpp) and calls what is here.
#pragma once

#include <optional>
#include <vector>

#include "core/cli/cli.h"
#include "core/error.h"
#include "core/ranks/ranks.h"

namespace retrace::synth {

std::vector<Verb> verbs();

std::vector<OptionSpec> synth_options();
// --dry-run and --edges: prints, and writes and asks nothing.
void look_at_sources(const Call& call, const Recipe& recipe);
// The stage on a run folder that the caller has locked. Every rank calls it; rank 0 prints the summary.
// Returns an error where all is done but some sources could not be read.
std::optional<Error> run_synth(const Call& call, const Recipe& recipe, const Ranks& ranks);

}  // namespace retrace::synth
