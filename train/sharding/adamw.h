// AdamW over flat ranges: update, clipping factor and the refresh of the compute-dtype weights in one pass.
// Element-wise, so results do not depend on how ranges are cut or on the number of threads.
#pragma once

#include <cstdint>

#include "model/kernel_types.h"

namespace retrace::train {

using model::AdamWStep;

// t is the 1-based number of the optimizer step (torch's AdamW semantics: decoupled decay, bias correction).
AdamWStep adamw_step(double lr, double beta1, double beta2, double eps, double weight_decay,
                     double gradient_scale, int64_t t);

// Updates n elements in place. `bf16`, if not null, receives the new weights rounded to nearest even.
// `keep` is AdamWStep::decay or AdamWStep::no_decay.
void adamw_update(const AdamWStep& step, float keep, int64_t n, float* master, float* exp_avg,
                  float* exp_avg_sq, const float* gradient, uint16_t* bf16);

// Sum of squares in fp64 with a fixed order of additions: 16 lanes, then pairwise.
double sum_of_squares(const float* values, int64_t n);

void round_to_bf16(const float* values, int64_t n, uint16_t* bf16);  // nearest even; NaN stays NaN

}  // namespace retrace::train
