// The skeleton: how the repository could have been written, file by file, decided without any LLM.
#pragma once

#include <cstdint>
#include <string>

#include "synth/record/trajectory.h"
#include "synth/structure.h"

namespace retrace::synth {

struct SimulateOptions {
  uint64_t read_budget_bytes = 16384;  // of observations a sub-agent
  uint64_t write_chunk_bytes = 8192;   // longer files are written in several Writes, cut at symbols
  int round = 1;
  std::string fold = "train";
};

// Every step, every slot still empty. Deterministic. A main agent: requirements, file tree, plan (table and
// prose), one delegation a file, review. A sub-agent: think, read what it depends on and is written already,
// think, write. A dependency is shown whole if it is short, else the symbols that the file uses; what the
// budget leaves out is counted in Trajectory::skeleton.
Trajectory simulate(const Snapshot& snapshot, const Structure& structure, const SimulateOptions& options);

}  // namespace retrace::synth
