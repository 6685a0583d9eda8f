// The learning rate of a round: linear warm-up from 0, then a cosine to a floor. A pure function of the step.
#pragma once

#include <cstdint>

#include "train/config.h"

namespace retrace::train {

// Learning rate of the step with 0-based index `step` in a round of `steps` steps (ProLong's schedule: the
// floor applies after the warm-up only, and the first step of a warm-up has rate 0).
double learning_rate(const OptimConfig& config, int64_t step, int64_t steps);

}  // namespace retrace::train
