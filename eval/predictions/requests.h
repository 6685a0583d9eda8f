// One question to the model: prompt to ids, generation until a stop string, text of the answer; lm-eval's
// rules.
#pragma once

#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "eval/task.h"
#include "model/engine/engine.h"

namespace retrace::eval {

struct RequestSettings {
  int64_t max_gen_tokens = 256;
  int64_t max_length = 0;  // prompt plus answer; what is longer loses its first tokens
  bool add_bos = true;
  double temperature = 0, top_p = 1;
  uint64_t seed = 0;
  std::vector<std::string> until;
};

struct PromptIds {
  std::vector<int32_t> ids;
  int64_t dropped = 0;  // tokens cut off at the left
  bool bos = false;     // a BOS stands in front
};

// Ids of a prompt: BOS if asked for and the tokenizer has one (once, also when the text spells it out), then
// the text, cut at the left to max_tokens, BOS included, as lm-eval does. Error{recipe} if max_tokens < 1.
PromptIds prompt_ids(const std::string& prompt, const data::Tokenizer& tokenizer, bool add_bos,
                     int64_t max_tokens);

// Cuts at the first occurrence of each stop string, in their order; empty ones are ignored.
std::string cut_at_stops(std::string text, const std::vector<std::string>& until);

// What came back, as it is kept in the predictions file.
struct Reply {
  Answer answer;
  int64_t prompt_tokens = 0, dropped_tokens = 0, new_tokens = 0;
  std::string finish;  // "stop" (a stop string), "eos", "length"; "scored" for likelihoods
};

Reply generate_reply(model::Engine& engine, const data::Tokenizer& tokenizer, const std::string& prompt,
                     const RequestSettings& settings);

// Log-likelihood of a whole text by rolling windows of at most max_length, after BOS (else EOS). Error{input}
// if the tokenizer has neither.
Reply score_reply(model::Engine& engine, const data::Tokenizer& tokenizer, const std::string& text,
                  int64_t max_length);

}  // namespace retrace::eval
