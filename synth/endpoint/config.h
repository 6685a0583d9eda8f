// Recipe sections [generator] and [scorer]: language models behind HTTP endpoints, or in this process.
#pragma once

#include "core/fields.h"

namespace retrace::synth {

struct GeneratorConfig {
  static constexpr const char* kSection = "generator";
  static constexpr const char* kAbout =
      "The language model that writes prose (synth.generator = \"http\" or \"local\")";
  std::vector<std::string> endpoints;
  std::string api = "chat", model = "", api_key_env = "", prompts = "", on_failure = "template";
  std::string weights = "", chat_template = "auto", dtype = "";
  double temperature = 0.8, top_p = 0.95, connect_timeout_s = 5, timeout_s = 600, backoff_s = 0.5;
  int64_t max_tokens = 1024, max_prompt_kib = 24, max_chars = 6000, max_code_lines = 3, attempts = 3;
  int64_t retries = 8, max_in_flight = 32, max_response_mib = 16, budget_tokens = 0, batch = 16,
          repositories = 4;
  double budget_usd = 0, usd_per_million_input = 0, usd_per_million_output = 0;
  static auto fields() {
    using G = GeneratorConfig;
    return std::tuple{
        field("endpoints", &G::endpoints,
              "Base addresses of OpenAI-compatible servers of one model (http://host:8000); used in turn"),
        field(
            "weights", &G::weights,
            "local: Hugging Face folder of the model that writes; empty = the weights that score, in a loop "
            "those of the round"),
        field("chat_template", &G::chat_template,
              "local: how the model was taught to chat; auto: what its tokenizer_config.json describes")
            .choices({"auto", "chatml", "llama3"}),
        field("batch", &G::batch, "local: texts decoded together; changes no text").range(1, 32),
        field("repositories", &G::repositories,
              "Repositories that a rank makes at once where a language model is asked, so that their texts "
              "fill "
              "its batches; changes no text")
            .range(1, 64),
        field("api", &G::api, "chat: /v1/chat/completions; completions: /v1/completions, for base models")
            .choices({"chat", "completions"}),
        field("model", &G::model, "The model's name on the server"),
        field("dtype", &G::dtype,
              "http: what the server was told to compute in (bfloat16, fp8, ...); answers of another are not "
              "taken for its own. Empty = not said"),
        field("api_key_env", &G::api_key_env,
              "Environment variable that holds the API key; the key itself is never stored"),
        field("prompts", &G::prompts, "Folder of prompt files that replace the built-in ones of those names"),
        field("temperature", &G::temperature, "Sampling temperature").range(0, 2),
        field("top_p", &G::top_p, "Nucleus sampling").range(0, 1),
        field("max_tokens", &G::max_tokens, "Longest answer asked for").unit("tokens").range(1, 1000000),
        field("max_prompt_kib", &G::max_prompt_kib, "Longest quotation of the repository in a prompt")
            .unit("KiB")
            .range(1, 4096),
        field("max_chars", &G::max_chars, "A longer answer is refused").unit("bytes").range(80, 1000000),
        field("max_code_lines", &G::max_code_lines, "An answer with a longer fenced code block is refused")
            .range(0, 1000),
        field("attempts", &G::attempts, "Answers asked for one text before it is given up").range(1, 20),
        field("on_failure", &G::on_failure,
              "A text that is given up: template keeps the template's text and counts it; stop ends the run")
            .choices({"template", "stop"}),
        field("connect_timeout_s", &G::connect_timeout_s, "Time to connect").unit("s").range(0.01, 600),
        field("timeout_s", &G::timeout_s, "Time for a whole answer").unit("s").range(0.05, 86400),
        field("retries", &G::retries, "Times a request is sent again after an error that may pass")
            .range(0, 1000),
        field("backoff_s", &G::backoff_s, "First pause after such an error; doubles up to 8 s")
            .unit("s")
            .range(0.001, 60),
        field("max_in_flight", &G::max_in_flight,
              "Requests at once to an endpoint; fewer while it answers 429")
            .range(1, 4096),
        field("max_response_mib", &G::max_response_mib, "A longer response is refused")
            .unit("MiB")
            .range(1, 1024),
        field("budget_tokens", &G::budget_tokens,
              "Tokens, prompts included, that one round's synthesis may use; 0 = no limit")
            .unit("tokens")
            .at_least(0),
        field("budget_usd", &G::budget_usd, "Money that one round's synthesis may cost; 0 = no limit")
            .unit("USD")
            .at_least(0),
        field("usd_per_million_input", &G::usd_per_million_input, "Price of a million prompt tokens")
            .unit("USD")
            .at_least(0),
        field("usd_per_million_output", &G::usd_per_million_output, "Price of a million answered tokens")
            .unit("USD")
            .at_least(0)};
  }
};

struct ScorerConfig {
  static constexpr const char* kSection = "scorer";
  static constexpr const char* kAbout = "The language model that scores thoughts (search.scorer = \"http\")";
  std::vector<std::string> endpoints;
  std::string dialect = "vllm", model = "", tokenizer = "", api_key_env = "", dtype = "";
  double connect_timeout_s = 5, timeout_s = 600, backoff_s = 0.5;
  int64_t attempts = 2, retries = 8, max_in_flight = 8, max_response_mib = 256, budget_tokens = 0;
  double budget_usd = 0, usd_per_million_input = 0, usd_per_million_output = 0;
  static auto fields() {
    using S = ScorerConfig;
    return std::tuple{
        field("endpoints", &S::endpoints,
              "Base addresses of servers of the same weights (http://host:8000); used in turn"),
        field("dialect", &S::dialect,
              "vllm: /v1/completions with prompt_logprobs; sglang: /generate with logprob_start_len")
            .choices({"vllm", "sglang"}),
        field("model", &S::model, "The model's name on the server; recorded as the weights that scored"),
        field("dtype", &S::dtype,
              "What the server was told to compute in (bfloat16, fp8, ...); scores of another are not taken "
              "for "
              "its own. Empty = not said"),
        field("tokenizer", &S::tokenizer, "Tokenizer of that model: a Hugging Face folder or file"),
        field("api_key_env", &S::api_key_env,
              "Environment variable that holds the API key; the key itself is never stored"),
        field("attempts", &S::attempts, "Answers asked for one score before the server is refused")
            .range(1, 20),
        field("connect_timeout_s", &S::connect_timeout_s, "Time to connect").unit("s").range(0.01, 600),
        field("timeout_s", &S::timeout_s, "Time for a whole answer").unit("s").range(0.05, 86400),
        field("retries", &S::retries, "Times a request is sent again after an error that may pass")
            .range(0, 1000),
        field("backoff_s", &S::backoff_s, "First pause after such an error; doubles up to 8 s")
            .unit("s")
            .range(0.001, 60),
        field("max_in_flight", &S::max_in_flight,
              "Requests at once to an endpoint; fewer while it answers 429")
            .range(1, 4096),
        field("max_response_mib", &S::max_response_mib, "A longer response is refused")
            .unit("MiB")
            .range(1, 1024),
        field("budget_tokens", &S::budget_tokens, "Tokens that one round's scoring may use; 0 = no limit")
            .unit("tokens")
            .at_least(0),
        field("budget_usd", &S::budget_usd, "Money that one round's scoring may cost; 0 = no limit")
            .unit("USD")
            .at_least(0),
        field("usd_per_million_input", &S::usd_per_million_input, "Price of a million prompt tokens")
            .unit("USD")
            .at_least(0),
        field("usd_per_million_output", &S::usd_per_million_output, "Price of a million answered tokens")
            .unit("USD")
            .at_least(0)};
  }
};

}  // namespace retrace::synth
