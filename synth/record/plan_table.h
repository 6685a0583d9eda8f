// The file-level implementation plan: one line a file, and the table that shows it.
#pragma once

#include <string>

#include "synth/record/trajectory.h"

namespace retrace::synth {

// The table as Markdown, row by row: plan_head() and one plan_row() for each place in the writing order.
std::string plan_head();
std::string plan_row(const Trajectory& t, size_t place);
std::string plan_table(const Trajectory& t);

// Files that `file` depends on, in writing order; broken edges left out unless asked for.
std::vector<int> dependencies_of(const Trajectory& t, int file, bool with_broken = false);
// Of those (broken ones too) the few that the plan's row names.
std::vector<int> shown_dependencies(const Trajectory& t, int file);
std::vector<size_t> places_in_order(const Trajectory& t);  // file -> place in the writing order

}  // namespace retrace::synth
