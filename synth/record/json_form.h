// The canonical JSON of a record: fixed keys in fixed order. Identity and storage are made from it.
#pragma once

#include "synth/record/trajectory.h"

namespace retrace::synth {

enum class Contents { whole, hashes };
// Contents::hashes leaves out rev and the bytes of files (their hashes stand in the tree).
Json record_json(const Trajectory& t, Contents contents);

}  // namespace retrace::synth
