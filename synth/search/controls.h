// After the search: what the chosen thoughts are worth in their final contexts, to the scorer that chose them
// and to a judge that did not, against first drafts, against no thought and against thoughts of other steps.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "synth/record/trajectory.h"
#include "synth/search/context.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

// Thoughts of other steps of the same trajectory in the place of one, in an order drawn from `seed`: as many
// as are needed, joined, and cut to `tokens` of the scorer's tokens. Shorter where there are not enough; ""
// where there is none.
std::string shuffled_thought(const Trajectory& t, int slot, int64_t tokens, uint64_t seed, Scorer& scorer);

struct ControlOptions {
  std::string style = "plain";
  uint64_t seed = 1;
  bool arms =
      false;  // all arms and both models; else only what the judge says of chosen against first drafts
  std::function<void()> tick;  // called before each scoring
};

// Adds to `summary`: "judge", and with arms "controls". A dropped thought counts as having none. With arms,
// `lines` gets one JSON object a place: the shuffled text and every arm's nats.
void measure_controls(Trajectory& t, const std::vector<ThoughtPlace>& places, Scorer& scorer, Scorer* judge,
                      const ControlOptions& options, Json& summary, std::vector<std::string>& lines);

}  // namespace retrace::synth
