// Which rank computes which sequences of an optimizer step. Ranks that reduce gradients after every
// micro-step meet there, so a step costs the sum over micro-steps of the heaviest rank; ranks that meet once
// a step cost the heaviest rank's total.
#pragma once

#include <vector>

namespace retrace::data {

// For each rank indices into the step's sequences, the same number to each (Error{recipe} if they do not
// divide), `micro_batch` of them a micro-step, heaviest first. For one sequence a micro-step no assignment
// costs less; for more each micro-step is balanced by exchanges. The ranks' totals are then evened out within
// micro-steps, and with `meet_once` across them. A function of its arguments alone.
std::vector<std::vector<int>> assign_to_ranks(const std::vector<double>& costs, int ranks,
                                              int micro_batch = 1, bool meet_once = false);

// What ranks wait for: the sum over micro-steps of the heaviest rank; and if they meet once, the heaviest
// rank's total.
struct StepCost {
  double met_each_micro_step = 0, met_once = 0;
};
StepCost step_cost(const std::vector<double>& costs, const std::vector<std::vector<int>>& assigned,
                   int micro_batch = 1);

}  // namespace retrace::data
