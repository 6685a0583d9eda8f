// One question to the model of this process: generation until a stop string, or the likelihood of a text, by
// lm-eval's rules (model/lm_eval_rules.h).
#pragma once

#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "eval/task.h"
#include "model/engine/engine.h"
#include "model/lm_eval_rules.h"

namespace retrace::eval {

struct RequestSettings {
  int64_t max_gen_tokens = 256;
  int64_t max_length = 0;  // prompt plus answer; what is longer loses its first tokens
  bool add_bos = true;
  double temperature = 0, top_p = 1;
  uint64_t seed = 0;
  std::vector<std::string> until;
};

using model::cut_at_stops;
using model::PromptIds;

// model::prompt_ids, whose errors name eval's recipe keys.
PromptIds prompt_ids(const std::string& prompt, const data::Tokenizer& tokenizer, bool add_bos,
                     int64_t max_tokens);

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
