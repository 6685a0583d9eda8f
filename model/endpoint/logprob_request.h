// Requests for the log-probabilities of a prompt's own tokens, as vLLM and SGLang take them; the answers are
// read by model/endpoint/logprob_answer.h.
#pragma once

#include <string>
#include <vector>

#include "model/endpoint/endpoints.h"
#include "model/endpoint/logprob_answer.h"

namespace retrace::model {

struct LogprobServer {
  ScoreDialect dialect = ScoreDialect::vllm;
  std::string model;  // the name under which the server knows it
  std::string dtype;  // what it was told to compute in; empty = not stated
};

// Asks for the last `last` of ids, last < ids.size(), and for `new_tokens` >= 1 greedy tokens behind them: a
// server computes no prompt without any.
Ask logprob_ask(const LogprobServer& server, const std::vector<data::TokenId>& ids, size_t last,
                int64_t new_tokens);

}  // namespace retrace::model
