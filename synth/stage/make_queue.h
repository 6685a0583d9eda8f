// The work items of making: which repositories are made into trajectories together, and the key of all that
// decides the stage's result.
#pragma once

#include <filesystem>
#include <string>

#include "synth/stage/record_maker.h"
#include "synth/stage/work_queue.h"

namespace retrace::synth {

struct MakePlan {
  std::string key;        // hash of the recipe and of every repository's inputs
  size_t n_records = 0;   // trajectories that are to be made
  bool finished = false;  // all of it is published already
};

// Rank 0: writes work items for the ledger's selected repositories, and their plan, into the folder `items`.
void write_make_queue(const std::filesystem::path& items, const std::filesystem::path& out, Ledger& ledger,
                      RecordMaker& maker);
MakePlan read_make_plan(const std::filesystem::path& items);
WorkQueue make_queue(const std::filesystem::path& items);

}  // namespace retrace::synth
