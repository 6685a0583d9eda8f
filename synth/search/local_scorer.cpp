// Scoring by weights in this process: one prefill of the prefix, then each thought with what follows it.
#include <algorithm>

#include "core/error.h"
#include "synth/scorer.h"
#include "synth/search/score_ids.h"

namespace retrace::synth {

namespace {

class LocalScorer : public Scorer {
 public:
  LocalScorer(model::Engine& engine, std::shared_ptr<const data::Tokenizer> tokenizer, int64_t max_tokens)
      : engine_(engine),
        tokenizer_(std::move(tokenizer), std::min(max_tokens, engine.config().max_position_embeddings)) {}

  std::string name() const override { return "local:" + engine_.fingerprint().substr(0, 12); }

  std::vector<ScoreResult> score(const std::string& prefix, const std::vector<std::string>& thoughts,
                                 const std::string& close, const std::string& target) override {
    const data::Segment before{prefix, "", -1, data::Kind::frame}, after{close, "", -1, data::Kind::frame};
    return score_segments({{&before, 1}, 0, thoughts, {&after, 1}, target});
  }

  std::vector<ScoreResult> score_segments(const ScoreRequest& request) override {
    const ScoreIds ids = tokenizer_.ids(request);
    std::vector<ScoreResult> out(request.thoughts.size());
    if (ids.continuations.empty()) return out;
    const auto logprobs = engine_.logprobs_after(ids.prefix, ids.continuations);
    ensure(logprobs.size() == ids.continuations.size(), "the engine answers every continuation");
    for (size_t i = 0; i < ids.places.size(); ++i) {
      ensure(logprobs[i].size() == ids.continuations[i].size(), "the engine answers every token");
      out[ids.places[i]] = sum_scores(logprobs[i], ids.target, request.target.size());
    }
    return out;
  }

 private:
  model::Engine& engine_;
  ScoreTokenizer tokenizer_;
};

}  // namespace

std::unique_ptr<Scorer> make_local_scorer(model::Engine& engine,
                                          std::shared_ptr<const data::Tokenizer> tokenizer,
                                          int64_t max_context_tokens) {
  return std::make_unique<LocalScorer>(engine, std::move(tokenizer), max_context_tokens);
}

}  // namespace retrace::synth
