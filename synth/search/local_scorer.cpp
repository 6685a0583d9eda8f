// Scoring by weights in this process: one prefill of the prefix, then each thought with what follows it.
#include <algorithm>
#include <utility>

#include "core/error.h"
#include "synth/search/score_ids.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

namespace {

class LocalScorer : public Scorer {
 public:
  LocalScorer(model::Engine& engine, std::shared_ptr<const data::Tokenizer> tokenizer, int64_t max_tokens,
              std::string dtype)
      : engine_(engine),
        dtype_(std::move(dtype)),
        tokenizer_(std::move(tokenizer), std::min(max_tokens, engine.config().max_position_embeddings)) {}

  std::string name() const override {
    return "local:" + engine_.fingerprint().substr(0, 12) + (dtype_ == "float32" ? "" : "/" + dtype_);
  }

  std::vector<ScoreResult> score(const std::string& prefix, const std::vector<std::string>& thoughts,
                                 const std::string& close, const std::string& target) override {
    const data::Segment before{prefix, "", -1, data::Kind::frame}, after{close, "", -1, data::Kind::frame};
    ScoreRequest request;
    request.prefix = {&before, 1};
    request.thoughts = thoughts;
    request.close = {&after, 1};
    request.target = target;
    return score_segments(request);
  }

  std::vector<ScoreResult> score_segments(const ScoreRequest& request) override {
    const ScoreIds ids = tokenizer_.ids(request);
    std::vector<ScoreResult> out(request.thoughts.size() + (request.none ? 1 : 0));
    if (ids.continuations.empty()) return out;
    const int64_t before = engine_.tokens_computed();
    const auto logprobs = engine_.logprobs_after(ids.prefix, ids.continuations);
    note_work(ids, engine_.tokens_computed() - before);
    ensure(logprobs.size() == ids.continuations.size(), "the engine answers every continuation");
    for (size_t i = 0; i < ids.places.size(); ++i) {
      ensure(logprobs[i].size() == ids.continuations[i].size(), "the engine answers every token");
      out[ids.places[i]] = sum_scores(logprobs[i], ids.target, request.target.size());
    }
    return out;
  }

  ScoreWork take_work() override { return std::exchange(work_, {}); }
  int64_t count_tokens(const std::string& text) override { return tokenizer_.count(text); }
  std::string first_tokens(const std::string& text, int64_t most) override {
    return tokenizer_.front(text, most);
  }

 private:
  void note_work(const ScoreIds& ids, int64_t computed) {
    work_.computed += computed;
    work_.candidates += static_cast<int64_t>(ids.continuations.size());
    for (size_t i = 0; i < ids.continuations.size(); ++i) {
      work_.between += static_cast<int64_t>(ids.between[i]);
      work_.own += static_cast<int64_t>(ids.continuations[i].size() - ids.between[i]);
    }
    if (ids.prefix == last_prefix_) return;
    work_.prefixes += static_cast<int64_t>(ids.prefix.size());
    last_prefix_ = ids.prefix;
  }

  model::Engine& engine_;
  std::string dtype_;
  ScoreTokenizer tokenizer_;
  ScoreWork work_;
  std::vector<data::TokenId> last_prefix_;
};

}  // namespace

std::unique_ptr<Scorer> make_local_scorer(model::Engine& engine,
                                          std::shared_ptr<const data::Tokenizer> tokenizer,
                                          int64_t max_context_tokens, const std::string& dtype) {
  return std::make_unique<LocalScorer>(engine, std::move(tokenizer), max_context_tokens, dtype);
}

}  // namespace retrace::synth
