// The counts of one repository's synthesis, and their sum over a round.
#pragma once

#include "core/json.h"
#include "synth/input/snapshot.h"
#include "synth/record/trajectory.h"

namespace retrace::synth {

Json record_summary(const Trajectory& t, const Snapshot& snapshot, const Json& search);
Json empty_total();
void add_record(Json& total, const Json& item);
Json finished_total(Json total, int round, const std::string& fold);
// How well a repository serves as the report's example; above 0. Small ones with accepted thoughts are best.
double example_value(const Json& item);

}  // namespace retrace::synth
