// The structure of a snapshot as JSON, for people, other programs and comparisons.
#pragma once

#include "core/json.h"
#include "synth/structure.h"

namespace retrace::synth {

// { origin, kind, licence, tree_hash, files: [{path, language, bytes, parsed, errors, symbols}] in writing
// order,
//   edges: [{from, to, hard, broken, line, names}] with paths, dropped: {reason: count},
//   redactions: {kind: count}, unresolved_imports, external_imports }
Json structure_json(const Snapshot& snapshot, const Structure& structure);

}  // namespace retrace::synth
