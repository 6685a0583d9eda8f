// Choosing thoughts: candidates that edit the incumbent, kept iff the code that follows becomes likelier.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "synth/config.h"
#include "synth/generate/generator.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

struct SearchOptions {
  SearchConfig config;
  std::string style = "plain";  // the framing that will be trained
  uint64_t seed = 1;
  std::function<void()> tick;  // called before each scoring: renew a lease, look for a stop signal; may throw
};

struct SearchResult {
  // One JSON object each, in order of slot and number: all texts, gates, scores, verdicts
  // (synth/search/rules.h). With controls, one more for each place at the end. Packing never reads them.
  std::vector<std::string> candidates;
  Json summary;  // counts and sums; adds up over repositories (add_search_summary)
};

// Goes through the thoughts in document order and sets Slot::chosen, author, mode and drop; then sets rev.
// Each thought is scored on the first write that follows in its sub-agent, with all that stands between.
// Batches are a function of the repository alone. `judge`, if any, then measures first drafts against chosen
// texts in the final contexts; with search.controls so does the scorer, and more (synth/search/controls.h).
// Guarded: a candidate must also gain more than the engine's noise (measured on the first thought, across
// batch shapes) and more than length_charge nats for each byte by which it is longer, and pass the leak
// gates; at the end a thought that does not so beat having no thought is dropped.
SearchResult search_thoughts(Trajectory& t, const Snapshot& snapshot, const Structure& structure,
                             Generator& generator, Scorer& scorer, Scorer* judge,
                             const SearchOptions& options);

// How many candidates that will ask the generator for, at most, also before the slots are filled.
int64_t candidates_of(const Trajectory& t, const SearchConfig& config);

Json empty_search_summary();
void add_search_summary(Json& total, const Json& one);
// Adds the ratios (nats per byte, their standard errors, tokens computed) to a sum.
Json finished_search_summary(Json total);

}  // namespace retrace::synth
