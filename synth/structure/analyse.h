// From a snapshot to its structure: parsed by tree-sitter, imports resolved, ordered for writing.
#pragma once

#include "synth/structure.h"

namespace retrace::synth {

struct AnalyseOptions {
  double parse_timeout_s = 5;
};

// Deterministic. Manifests first, then dependencies before dependants (Tarjan SCC, condensation, ties by
// path; inside a cycle soft edges go first, then the smallest in-degree), tests after what they test,
// documentation last.
Structure analyse(const Snapshot& snapshot, const AnalyseOptions& options = {});

}  // namespace retrace::synth
