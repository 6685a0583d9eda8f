// AdamW over flat ranges: update, clipping factor and the refresh of the compute-dtype weights in one pass.
// Element-wise, so results do not depend on how ranges are cut or on the number of threads.
#pragma once

#include <cstdint>

namespace retrace::train {

// What one optimizer step applies to every element, already rounded to fp32.
struct AdamWStep {
  float beta1 = 0, one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0;
  float step_size = 0;            // lr / (1 - beta1^t)
  float root_bias2 = 1;           // sqrt(1 - beta2^t)
  float eps = 0;                  // outside the root
  float gradient_scale = 1;       // clipping
  float decay = 1, no_decay = 1;  // 1 - lr * weight_decay for decayed parameters; 1
};

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
void add_into(const float* values, int64_t n, float* sum);           // sum[i] += values[i]

}  // namespace retrace::train
