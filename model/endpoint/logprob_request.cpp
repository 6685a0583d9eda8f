#include "model/endpoint/logprob_request.h"

#include "core/json.h"

namespace retrace::model {

Ask logprob_ask(const LogprobServer& server, const std::vector<data::TokenId>& ids, size_t last,
                int64_t new_tokens) {
  Ask ask;
  Json body;
  if (server.dialect == ScoreDialect::vllm) {
    ask.path = "/v1/completions";
    body = {{"model", server.model},
            {"prompt", ids},
            {"max_tokens", new_tokens},
            {"temperature", 0},
            {"prompt_logprobs", 0}};
  } else {
    ask.path = "/generate";
    ask.about = server.model + "\n";
    body = {{"input_ids", ids},
            {"sampling_params", {{"max_new_tokens", new_tokens}, {"temperature", 0}}},
            {"return_logprob", true},
            {"logprob_start_len", ids.size() - last - 1}};
  }
  if (!server.dtype.empty()) ask.about += "dtype " + server.dtype + "\n";
  ask.body = to_text(body);
  ask.most = {static_cast<int64_t>(ids.size()), new_tokens};
  return ask;
}

}  // namespace retrace::model
