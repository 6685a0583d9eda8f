// What a file is for, as the file-level plan says it.
#pragma once

#include "synth/record/trajectory.h"
#include "synth/structure.h"

namespace retrace::synth {

// What a file is for, in one line: the first sentence of its leading comment (licence texts passed over),
// else what its path tells. Never quotes code.
PlanLine plan_line(const Snapshot& snapshot, const Structure& structure, int file);

}  // namespace retrace::synth
