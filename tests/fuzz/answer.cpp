// What servers answer: a generator's text, a scorer's log-probabilities, the usage that either claims.
#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "model/endpoint/http_rules.h"
#include "model/endpoint/logprob_answer.h"
#include "synth/generate/answer.h"
#include "tests/fuzz/fuzz.h"

namespace retrace::fuzz {

std::vector<std::string> seeds() {
  return {
      R"({"choices": [{"index": 0, "message": {"role": "assistant", "content": "<think>so</think>It reads the table first. Then it writes."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 31, "completion_tokens": 9}})",
      R"({"choices": [{"text": "The parser comes before its users. It keeps no state. And th", "finish_reason": "length"}], "usage": {"prompt_tokens": 3}})",
      R"({"choices": [{"prompt_logprobs": [null, {"11": {"logprob": -1.5}}, {"12": {"logprob": -0.25}, "7": {"logprob": 0}}]}]})",
      R"({"meta_info": {"prompt_tokens": 3, "completion_tokens": 1, "input_token_logprobs": [[null, 10, null], [-2.5, 11, "a"], [-1e-3, 12, "b"]]}})"};
}

std::vector<std::string> dictionary() {
  return {"</think>", "<|eot_id|>", "```\\n",      "\\u0000",  "\\ud83d",     "1e400",
          "-1e39",    "null",       "\"choices\"", "\"text\"", "\"logprob\"", "[[",
          "{}",       "\"12\"",     "\"length\"",  ". ",       "-",           "9223372036854775808"};
}

}  // namespace retrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace retrace;
  const std::string body(reinterpret_cast<const char*>(data), size);
  bool taken = false;
  for (const bool chat : {true, false}) {
    const synth::AnswerRules rules{chat, 200, 3};
    const synth::CheckedAnswer answer = synth::check_answer(body, rules);
    fuzz::must(answer.text.empty() != answer.problem.empty(), "an answer is a text or a problem");
    fuzz::must(answer.text.size() <= rules.max_chars, "a text is within its limit");
    fuzz::must(is_valid_utf8(answer.text), "a text is UTF-8");
    fuzz::must(answer.text.find("<|eot_id|>") == answer.text.npos, "a text holds no control token");
    taken = taken || answer.problem.empty();
  }
  for (const auto dialect : {model::ScoreDialect::vllm, model::ScoreDialect::sglang}) {
    try {
      const auto logprobs = model::read_score_answer(dialect, body, {10, 11, 12}, 2);
      fuzz::must(logprobs.size() == 2, "one log-probability a token");
      for (const float x : logprobs) fuzz::must(std::isfinite(x), "log-probabilities are finite");
      taken = true;
    } catch (const Error& error) {
      fuzz::must(error.code() == Code::corrupt, "a bad answer is a corrupt one");
    }
  }
  if (const auto usage = model::usage_in(body))
    fuzz::must(usage->prompt_tokens >= 0 && usage->completion_tokens >= 0, "usage is not negative");
  if (taken) fuzz::accepted();
  return 0;
}
