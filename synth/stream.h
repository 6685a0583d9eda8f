// The synthesis stage: gather, make, publish, each step resumable, with a ledger that rank 0 owns and memory
// that does not grow with the number of repositories.
#pragma once

#include <optional>

#include "synth/item_maker.h"
#include "synth/synthesis.h"

namespace retrace::synth {

// What done.json says of a finished stage, and the summary of one that was finished with the same key. Its
// scorer is not asked for where there is none to compare.
Json done_json(const ItemMaker& maker, const std::string& key);
std::optional<Json> finished_summary(const SynthJob& job, const ItemMaker& maker, const std::string& key);

}  // namespace retrace::synth
