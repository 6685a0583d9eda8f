// A scoring as token ids: what stands before, the continuations, the target. One way of cutting for every
// scorer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "synth/search/scorer.h"

namespace retrace::synth {

struct ScoreIds {
  std::vector<data::TokenId> prefix;                      // BOS included; empty: nothing fits
  std::vector<std::vector<data::TokenId>> continuations;  // open + thought + close + target
  std::vector<size_t> places;                             // which result each continuation belongs to
  std::vector<size_t> between;                            // tokens between thought and target, of each
  size_t target = 0;                                      // tokens of the target, at each one's end
};

// Each piece is tokenised on its own. `limit` tokens at most; cuts as synth/search/scorer.h promises.
class ScoreTokenizer {
 public:
  ScoreTokenizer(std::shared_ptr<const data::Tokenizer> tokenizer, int64_t limit)
      : tokenizer_(std::move(tokenizer)), limit_(limit) {}
  ScoreIds ids(const ScoreRequest& request);
  int64_t count(const std::string& text) const {
    return static_cast<int64_t>(tokenizer_->encode(text).size());
  }
  std::string front(const std::string& text, int64_t most) const;  // of `most` tokens, cut at a character

 private:
  using Ids = std::vector<data::TokenId>;
  Ids ids_of(const data::Segment& segment) const;
  Ids ids_of(std::span<const data::Segment> segments) const;
  std::vector<Ids> close_ids(std::span<const data::Segment> close, int64_t most) const;
  Ids prefix_ids(const ScoreRequest& request, int64_t room);
  void keep_newest(std::span<const data::Segment> rest, int64_t room, std::vector<Ids>& newest) const;
  Ids lead_ids(const ScoreRequest& request, bool with_tree);

  std::shared_ptr<const data::Tokenizer> tokenizer_;
  int64_t limit_;
  std::string lead_key_;
  Ids lead_whole_, lead_without_tree_;
};

// Sums of the last `tokens` log-probabilities.
ScoreResult sum_scores(std::span<const float> logprobs, size_t tokens, size_t bytes);

}  // namespace retrace::synth
