// lm-eval's rules for the tokens of a request, whichever model answers it: how a prompt is cut, where a
// continuation begins, which windows a long text is scored in, and where a generated text ends.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace retrace::model {

struct PromptIds {
  std::vector<int32_t> ids;
  int64_t dropped = 0;  // tokens cut off at the left
  bool bos = false;     // a BOS stands in front
};

// Ids of a prompt: BOS if asked for and the tokenizer has one (once, also when the text spells it out), then
// the text, cut at the left to max_tokens, BOS included, as lm-eval does. Error{recipe} if max_tokens < 1.
PromptIds prompt_ids(const std::string& prompt, const data::Tokenizer& tokenizer, bool add_bos,
                     int64_t max_tokens);

// A text to score: the last `scored` of ids, after those before them.
struct ScoredIds {
  std::vector<int32_t> ids;
  int64_t scored = 0, dropped = 0;
};

// A continuation after its context (model/language_model.h says how they are told apart and cut). max_length
// 0: not cut. Error{input} if the continuation is longer than max_length, or where BOS and EOS are needed and
// missing.
ScoredIds continuation_ids(const std::string& context, const std::string& continuation,
                           const data::Tokenizer& tokenizer, bool add_bos, int64_t max_length);

// BOS, else EOS, then the whole text. Error{input} if the tokenizer has neither.
std::vector<int32_t> rolling_ids(const std::string& text, const data::Tokenizer& tokenizer);

// The model reads ids [begin, end - 1) and predicts ids [from, end).
struct RollingWindow {
  int64_t begin, from, end;
};

// Windows over `num_ids` ids, of which the first is context only (BOS, or a first token that is not scored).
// The model reads at most `window` >= 1 ids at once. Windows are disjoint in what they predict, with one
// token of context, and the last one has a full context.
std::vector<RollingWindow> rolling_windows(int64_t num_ids, int64_t window);

// Looks for a stop string in the text of the last tokens: as many as the string has, and two.
class StopWatch {
 public:
  StopWatch(const data::Tokenizer& tokenizer, const std::vector<std::string>& until);
  bool seen(const std::vector<int32_t>& tokens) const;

 private:
  const data::Tokenizer& tokenizer_;
  std::vector<std::pair<std::string, size_t>> stops_;
};

// The stop strings of a request, and the spelling of EOS.
std::vector<std::string> with_eos(std::vector<std::string> until, const data::Tokenizer& tokenizer);

// Cuts at the first occurrence of each stop string, in their order; empty ones are ignored.
std::string cut_at_stops(std::string text, const std::vector<std::string>& until);

}  // namespace retrace::model
