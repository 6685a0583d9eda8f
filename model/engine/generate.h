// Choosing the next token from logits: greedy, or temperature and top-p with counter-based randomness. No
// torch here.
#pragma once

#include <cstdint>

#include "model/engine/engine.h"

namespace retrace::model {

// A pure function of (logits, options, step). Greedy takes the smallest id among equals. Sampling divides by
// the temperature, then keeps the fewest most likely tokens whose probabilities reach top_p. Error{numeric}
// on NaN logits.
int32_t choose_token(const float* logits, int64_t vocabulary, const GenerateOptions& options, int64_t step);

}  // namespace retrace::model
