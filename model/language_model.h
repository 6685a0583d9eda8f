// Whatever writes and scores text, wherever it runs: lm-eval's three requests, over batches. Answers come in
// the order of the requests; what an answer says depends on its own request only. One thread at a time. No
// torch here.
//
// Every text is one document: nothing of one request is seen by another. A BOS stands in front of a prompt
// where the model is set to add one (once, also where the text spells it out). What is too long loses its
// first tokens. Errors: a request that this model cannot serve, or no room for a prompt, is Error{recipe}; a
// text without a token to begin from, or one that the model refuses, Error{input}; a lost server
// Error{network}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace retrace::model {

struct GenerateRequest {
  std::string prompt;
  std::vector<std::string> stop;  // the text ends before the first of them; empty strings are ignored
  int64_t max_tokens = 256;       // new ones; the prompt keeps its last max_length - max_tokens tokens
  double temperature = 0;         // 0 = greedy
  double top_p = 1;
  uint64_t seed = 0;  // of sampling
};

struct GeneratedText {
  std::string text;  // valid UTF-8, without special tokens
  // Tokens; prompt_tokens are those that the model read. 0 where a server does not say.
  int64_t prompt_tokens = 0, dropped_tokens = 0, new_tokens = 0;
  std::string finish;  // "stop" (a stop string), "eos", "length"
};

// White space (ASCII) at the context's end counts to the continuation. An empty context is BOS, else EOS.
// Context and continuation are tokenised as one text; together they keep their last max_length + 1 tokens, of
// which the continuation must be at most max_length.
struct LoglikelihoodRequest {
  std::string context, continuation;
};

// The whole text after BOS, else EOS; every token is predicted once, in windows of max_length (lm-eval's
// rolling windows, model/lm_eval_rules.h).
struct RollingRequest {
  std::string text;
};

struct Loglikelihood {
  double nats = 0;  // sum over the scored tokens
  std::optional<bool>
      is_greedy;  // greedy decoding would give them; nullopt where the model cannot tell, and rolling
  int64_t tokens = 0, dropped_tokens = 0;  // scored; cut off at the left
};

struct Capabilities {
  bool generate_until = false, loglikelihood = false, loglikelihood_rolling = false;
  bool knows_greedy = false;  // loglikelihood tells is_greedy
  int64_t max_length = 0;     // tokens that the model reads at once; 0 = unknown, and nothing is cut
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual Capabilities capabilities() const = 0;
  // Names weights and dtype, or the server's model, for result files and cache keys; not the settings of
  // max_length and BOS.
  virtual std::string identity() const = 0;
  virtual std::vector<GeneratedText> generate_until(const std::vector<GenerateRequest>& requests) = 0;
  virtual std::vector<Loglikelihood> loglikelihood(const std::vector<LoglikelihoodRequest>& requests) = 0;
  virtual std::vector<Loglikelihood> loglikelihood_rolling(const std::vector<RollingRequest>& requests) = 0;
};

}  // namespace retrace::model
