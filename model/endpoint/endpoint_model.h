// LanguageModel behind HTTP (model/language_model.h): text by OpenAI's completions or chat, log-likelihoods
// by vLLM's prompt_logprobs or SGLang's logprob_start_len. Prompts of completions go out as our own
// tokenizer's ids where there is one, so that BOS and cuts are as in this process; without one, and in chat,
// the server is given the text whole.
#pragma once

#include <memory>

#include "data/tokenizer/tokenizer.h"
#include "model/endpoint/endpoints.h"
#include "model/endpoint/logprob_request.h"
#include "model/language_model.h"
#include "model/lm_eval_rules.h"

namespace retrace::model {

struct EndpointModelOptions {
  LogprobServer server;
  bool chat = false;  // /v1/chat/completions with the prompt as one user message, else /v1/completions
  // Tokens that the model reads at once; scoring asks for prompts of one more and a new token. 0 = unknown:
  // nothing is cut, and a text cannot be scored in windows.
  int64_t max_length = 0;
  bool add_bos = true;   // in front of prompts and contexts, where the tokenizer has one
  int64_t attempts = 3;  // answers to one request until one is of the right form
};

// Retries, budget and errors of the connection are those of Endpoints. A request that the server refuses, and
// one that gets no answer of the right form, is Error{input}. A server that cannot tell a token's rank leaves
// is_greedy open.
class EndpointModel : public LanguageModel {
 public:
  // `endpoints` must outlive this; `tokenizer` may be null. Error{recipe} where the model is not named.
  EndpointModel(EndpointModelOptions options, std::shared_ptr<const data::Tokenizer> tokenizer,
                Endpoints& endpoints, std::string role);
  Capabilities capabilities() const override;
  std::string identity() const override;  // "http/API/MODEL[/TOKENIZER][/DTYPE]"
  std::vector<GeneratedText> generate_until(const std::vector<GenerateRequest>& requests) override;
  std::vector<Loglikelihood> loglikelihood(const std::vector<LoglikelihoodRequest>& requests) override;
  std::vector<Loglikelihood> loglikelihood_rolling(const std::vector<RollingRequest>& requests) override;

 private:
  using Read = std::function<void(size_t index, const std::string& body)>;
  // Every ask's body to `read`, which throws Error{corrupt} where the form is wrong.
  void ask_all(const std::vector<Ask>& asks, const Read& read);
  bool can_score() const { return !options_.chat && tokenizer_ != nullptr; }
  void need_scoring(const char* request) const;
  Ask text_ask(const GenerateRequest& request, const PromptIds& prompt) const;
  GeneratedText text_of(const std::string& body, const GenerateRequest& request,
                        const PromptIds& prompt) const;

  EndpointModelOptions options_;
  std::shared_ptr<const data::Tokenizer> tokenizer_;
  Endpoints& endpoints_;
  std::string role_;  // names recipe keys
};

}  // namespace retrace::model
