// What a thought copies from the code that it precedes. Measured for every candidate; binding in the guarded
// preset only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/json.h"

namespace retrace::synth {

struct Gates {
  int64_t verbatim_lines =
      0;               // lines of >= 40 bytes of the code that stand in the thought, not in the context
  double ngram13 = 0;  // share of the thought's lexical 13-grams that stand in the code, not in the context
  // Nats that a copying byte model (PPM) gains on the code by this thought over the first draft, and what is
  // left of the scorer's gain without them. Valid if `metered`.
  bool metered = false;
  double ppm_gain_nats = 0, copy_discounted_nats = 0;
};

// The overlap gates. `context` is what precedes the thought: what is visible there is no leak.
Gates measure_overlap(std::string_view thought, std::string_view code, std::string_view context);
Json to_json(const Gates& gates);

}  // namespace retrace::synth
