// The end of a synthesis stage: what was made of every work item, into the files that stay.
#pragma once

#include <filesystem>

#include "synth/stage/make_queue.h"
#include "synth/stage/record_maker.h"

namespace retrace::synth {

// Rank 0, once every item is made: all files of job.out (synth/synthesis.h), done.json last. Error{input}
// where no repository is left.
void publish_stage(const SynthJob& job, const SynthConfig& config, const std::filesystem::path& items,
                   const MakePlan& plan, RecordMaker& maker, Ledger& ledger);

}  // namespace retrace::synth
