// A mean difference of two likelihoods over thoughts, with its standard error, from sums that add up over
// repositories.
#pragma once

#include "core/json.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

// Both scored. Counts that `after` has made the target likelier than `before`. The ratio is total nats over
// total bytes; its standard error is that of a ratio of means, thoughts taken as independent.
void add_contrast(Json& contrast, const ScoreResult& before, const ScoreResult& after);
// Adds nats_per_byte and standard_error (null below two thoughts).
void finish_contrast(Json& contrast);

}  // namespace retrace::synth
