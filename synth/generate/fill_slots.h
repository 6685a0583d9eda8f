// The first drafts of a record's prose: every slot of a skeleton filled by a generator.
#pragma once

#include <cstdint>

#include "synth/generate/generator.h"

namespace retrace::synth {

// Fills every slot (initial = chosen), candidate 0 of the generator, blinded; then sets rev. In four steps,
// each of which sees the texts of those before: requirements, plan, briefs and thoughts, review.
void fill_slots(Trajectory& t, const Snapshot& snapshot, const Structure& structure, Generator& generator,
                uint64_t seed);

// A slot's request without candidate and incumbent.
SlotRequest slot_request(const Trajectory& t, const Snapshot& snapshot, const Structure& structure, int slot,
                         uint64_t seed);

}  // namespace retrace::synth
