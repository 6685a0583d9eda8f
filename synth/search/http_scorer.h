// A language model behind HTTP as a Scorer. Our own tokenizer makes the ids and the server gets ids, so that
// the target's ids are the same for every candidate; log-probabilities are read by id.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/endpoint/endpoints.h"
#include "model/endpoint/logprob_request.h"
#include "synth/config.h"
#include "synth/search/score_ids.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

// The server must take prompts of max_context + 1 tokens. Before its first score each endpoint is examined:
// the number of entries, nothing before the first token, values that are neither all zero nor positive, a
// plausible text above its shuffle, and tokens that it chose greedily not below -ln(vocabulary), the bound of
// an argmax. One that fails is refused with Error{input}; so is one whose answer does not hold exactly one
// finite value for each target token, after `attempts`.
class HttpScorer : public Scorer {
 public:
  // `endpoints` and `evidence` must outlive this.
  HttpScorer(ScorerConfig config, std::shared_ptr<const data::Tokenizer> tokenizer, int64_t max_context,
             model::Endpoints& endpoints, model::Evidence& evidence);
  std::string name() const override;  // "http/DIALECT/MODEL/TOKENIZER[/DTYPE]"
  std::vector<ScoreResult> score(const std::string& prefix, const std::vector<std::string>& thoughts,
                                 const std::string& close, const std::string& target) override;
  std::vector<ScoreResult> score_segments(const ScoreRequest& request) override;
  // Of the same request twice, measured by the preflight and kept in the evidence of each repository.
  double noise_nats() override;
  int64_t count_tokens(const std::string& text) override { return cutter_.count(text); }
  std::string first_tokens(const std::string& text, int64_t most) override {
    return cutter_.front(text, most);
  }

 private:
  using Ids = std::vector<data::TokenId>;
  model::Ask ask_for(const Ids& ids, size_t last, int64_t new_tokens) const {
    return model::logprob_ask(server_, ids, last, new_tokens);
  }
  // Log-probabilities of the last ids. Error{corrupt} where the answer does not hold them.
  std::vector<float> read(const std::string& body, const Ids& ids, size_t last) const;
  std::vector<float> examine_text(size_t endpoint, const Ids& ids);
  void examine(size_t endpoint);
  // Why a server that fails at a prompt of ids cannot score, where it answers one of text.
  std::optional<std::string> why_text_only(size_t endpoint);
  Ids greedy(size_t endpoint, const Ids& ids);

  ScorerConfig config_;
  model::LogprobServer server_;
  std::shared_ptr<const data::Tokenizer> tokenizer_;
  ScoreTokenizer cutter_;
  model::Endpoints& endpoints_;
  model::Evidence& evidence_;
  double noise_ = 0;
};

}  // namespace retrace::synth
