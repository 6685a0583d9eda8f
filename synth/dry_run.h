// What synthesis would do to a repository, printed; nothing is written or asked.
#pragma once

#include <ostream>

#include "core/recipe/recipe.h"
#include "synth/input/snapshot.h"

namespace retrace::synth {

// Order with purposes and needs, broken cycles, counts, and how many texts and scorings a search would take.
void print_dry_run(const Snapshot& snapshot, const Recipe& recipe, std::ostream& out);
// One JSON object a line: repository, from, to, hard, broken, line, names.
void print_edges(const Snapshot& snapshot, std::ostream& out);

}  // namespace retrace::synth
