// Snapshots in memory as the sources of a stage.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "synth/synthesis.h"

namespace retrace::synth::handmade {

// Every file of a stage with its bytes, but the ledger.
std::map<std::string, std::string> results_in(const std::filesystem::path& out);

// The sources of a job, in this sequence: selected already, or to be listed and selected.
// They must outlive the job.
void slice_of_snapshots(SynthJob* job, const std::vector<Snapshot>& snapshots, std::vector<int> which);
void list_snapshots(SynthJob* job, const std::vector<Snapshot>& snapshots, std::vector<int> which);

}  // namespace retrace::synth::handmade
