#include "synth/search/http_scorer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/random.h"

namespace retrace::synth {

namespace {

constexpr const char* kPlausible =
    "def read_lines(path):\n    \"\"\"Return the lines of a text file.\"\"\"\n    with open(path) as file:\n"
    "        return [line.rstrip(\"\\n\") for line in file]\n\n\nfor i in range(10):\n    print(i)\n";
constexpr int64_t kGreedyTokens = 16;
constexpr double kRounding = 0.05;  // nats: half precision on the server

double sum_of(const std::vector<float>& logprobs) {
  double sum = 0;
  for (float x : logprobs) sum += static_cast<double>(x);
  return sum;
}

double mean_of(const std::vector<float>& logprobs) {
  return sum_of(logprobs) / static_cast<double>(logprobs.size());
}

// Below it lies nothing that a model of so many tokens would choose.
double argmax_bound(const data::Tokenizer& tokenizer) {
  return -std::log(static_cast<double>(tokenizer.vocab_size()));
}

std::string below_bound(double mean, const data::Tokenizer& tokenizer) {
  return fmt::format(
      "tokens of its own choice have log-probability {:.2f}, but the likeliest of {} cannot be below {:.2f}",
      mean, tokenizer.vocab_size(), argmax_bound(tokenizer));
}

[[noreturn]] void broken(const std::string& why) {
  throw Error(Code::corrupt, why, "", "the scorer's answer");
}

}  // namespace

HttpScorer::HttpScorer(ScorerConfig config, std::shared_ptr<const data::Tokenizer> tokenizer,
                       int64_t max_context, model::Endpoints& endpoints, model::Evidence& evidence)
    : config_(std::move(config)),
      server_{config_.dialect == "vllm" ? model::ScoreDialect::vllm : model::ScoreDialect::sglang,
              config_.model, config_.dtype},
      tokenizer_(std::move(tokenizer)),
      cutter_(tokenizer_, max_context),
      endpoints_(endpoints),
      evidence_(evidence) {
  if (config_.model.empty())
    throw Error(Code::recipe, "the scorer's model is not named", "the name under which the server knows it",
                "scorer.model");
  endpoints_.preflight = [this](size_t endpoint) { examine(endpoint); };
}

std::string HttpScorer::name() const {
  return fmt::format("http/{}/{}/{}{}", config_.dialect, config_.model,
                     tokenizer_->fingerprint().substr(0, 12),
                     config_.dtype.empty() ? "" : "/" + config_.dtype);
}

std::vector<ScoreResult> HttpScorer::score(const std::string& prefix,
                                           const std::vector<std::string>& thoughts, const std::string& close,
                                           const std::string& target) {
  const data::Segment before{prefix, "", -1, data::Kind::frame}, after{close, "", -1, data::Kind::frame};
  ScoreRequest request;
  request.prefix = {&before, 1};
  request.thoughts = thoughts;
  request.close = {&after, 1};
  request.target = target;
  return score_segments(request);
}

std::vector<float> HttpScorer::read(const std::string& body, const Ids& ids, size_t last) const {
  return model::read_score_answer(server_.dialect, body, ids, last);
}

std::vector<ScoreResult> HttpScorer::score_segments(const ScoreRequest& request) {
  const ScoreIds scoring = cutter_.ids(request);
  std::vector<ScoreResult> out(request.thoughts.size() + (request.none ? 1 : 0));
  std::vector<Ids> prompts;
  std::vector<model::Ask> asks;
  for (const Ids& continuation : scoring.continuations) {
    prompts.push_back(scoring.prefix);
    prompts.back().insert(prompts.back().end(), continuation.begin(), continuation.end());
    asks.push_back(ask_for(prompts.back(), scoring.target, 1));
  }
  std::string refused;
  std::vector<int> attempts(asks.size(), 0);
  endpoints_.ask_all(
      std::move(asks), [&](size_t i, const model::StoredAnswer& answer) -> std::optional<model::Ask> {
        std::string why = fmt::format("HTTP {}: {}", answer.status, answer.body.substr(0, 200));
        try {
          if (answer.status == 200) {
            const std::vector<float> logprobs = read(answer.body, prompts[i], scoring.target);
            out[scoring.places[i]] = sum_scores(logprobs, scoring.target, request.target.size());
            return std::nullopt;
          }
        } catch (const Error& error) {
          why = error.message();
        }
        if (answer.status < 400 && ++attempts[i] < config_.attempts) {
          model::Ask again = ask_for(prompts[i], scoring.target, 1);
          again.attempt = attempts[i];
          return again;
        }
        refused = why;
        return std::nullopt;
      });
  if (!refused.empty())
    throw Error(Code::input, fmt::format("the server is refused as a scorer: {}", refused),
                "does it serve this model with room for search.max_context + 1 tokens?", "scorer.endpoints");
  return out;
}

std::vector<float> HttpScorer::examine_text(size_t endpoint, const Ids& ids) {
  const model::StoredAnswer answer = endpoints_.ask_directly(endpoint, ask_for(ids, ids.size() - 1, 1));
  if (answer.status != 200) broken(fmt::format("HTTP {}: {}", answer.status, answer.body.substr(0, 200)));
  return read(answer.body, ids, ids.size() - 1);
}

// What the server itself would go on with, as ids.
HttpScorer::Ids HttpScorer::greedy(size_t endpoint, const Ids& ids) {
  const model::StoredAnswer answer = endpoints_.ask_directly(endpoint, ask_for(ids, 1, kGreedyTokens));
  if (answer.status != 200) broken(fmt::format("HTTP {}: {}", answer.status, answer.body.substr(0, 200)));
  const Json json = parse_json(answer.body, "the scorer's answer");
  if (config_.dialect == "sglang" && json.contains("output_ids"))
    return get<Ids>(json, "output_ids", "answer");
  const std::string text =
      config_.dialect == "vllm"
          ? get<std::string>(get<Json>(json, "choices", "answer").at(0), "text", "answer")
          : get<std::string>(json, "text", "answer");
  return tokenizer_->encode(text);
}

std::optional<std::string> HttpScorer::why_text_only(size_t endpoint) {
  if (config_.dialect != "vllm") return std::nullopt;
  const auto ask = [&](const std::string& prompt, int64_t new_tokens, bool echo) {
    Json body = {
        {"model", config_.model}, {"prompt", prompt}, {"max_tokens", new_tokens}, {"temperature", 0}};
    if (echo) body["echo"] = true, body["logprobs"] = 1;
    const model::StoredAnswer answer = endpoints_.ask_directly(
        endpoint,
        {"/v1/completions", to_text(body), "", 0, {static_cast<int64_t>(prompt.size()), new_tokens}});
    if (answer.status != 200) broken(fmt::format("HTTP {}", answer.status));
    return get<Json>(parse_json(answer.body, "answer"), "choices", "answer").at(0);
  };
  std::string why;
  try {
    const std::string words = get<std::string>(ask(kPlausible, kGreedyTokens, false), "text", "answer");
    why = "it answers a prompt of text, but none of token ids";
    const Json told = get<Json>(ask(kPlausible + words, 1, true), "logprobs", "answer");
    auto logprobs = get<std::vector<Json>>(told, "token_logprobs", "logprobs");
    const size_t own = tokenizer_->encode(words).size();
    if (own == 0 || logprobs.size() <= own) return why;
    double sum = 0;
    for (size_t i = logprobs.size() - 1 - own; i + 1 < logprobs.size(); ++i) sum += logprobs[i].get<double>();
    const double mean = sum / static_cast<double>(own);
    if (mean < argmax_bound(*tokenizer_) - kRounding)
      why += "; what it gives for text cannot be true either: " + below_bound(mean, *tokenizer_);
  } catch (const Error&) {  // then it is as far as was found
  } catch (const Json::exception&) {
  }
  return why.empty() ? std::nullopt : std::optional(why);
}

void HttpScorer::examine(size_t endpoint) {
  const auto refuse = [&](const std::string& why) {
    throw Error(Code::input, fmt::format("{} is refused as a scorer: {}", endpoints_.url(endpoint), why),
                "vLLM and SGLang give a prompt's log-probabilities; llama.cpp's servers and chat APIs do not",
                "scorer.endpoints");
  };
  try {
    Ids text;
    if (tokenizer_->bos()) text.push_back(*tokenizer_->bos());
    const Ids words = tokenizer_->encode(kPlausible);
    text.insert(text.end(), words.begin(), words.end());
    std::vector<float> first;
    try {
      first = examine_text(endpoint, text);
    } catch (const Error& error) {
      const auto why = error.code() == Code::network ? why_text_only(endpoint) : std::nullopt;
      if (why) refuse(*why);
      throw;
    }
    const std::vector<float> second = examine_text(endpoint, text);
    if (std::all_of(first.begin(), first.end(), [](float x) { return x == 0; }))
      refuse("all its log-probabilities are 0");
    if (std::any_of(first.begin(), first.end(), [](float x) { return x > 0.001F; }))
      refuse("it gives a log-probability above 0");
    Ids shuffled(text.begin(), text.end() - static_cast<std::ptrdiff_t>(words.size()));
    for (uint32_t i : permutation(static_cast<uint32_t>(words.size()), 1, 1)) shuffled.push_back(words[i]);
    const double plain = mean_of(first), mixed = mean_of(examine_text(endpoint, shuffled));
    if (plain <= mixed)
      refuse(fmt::format("it finds a shuffled text ({:.2f} nats a token) as likely as the text ({:.2f})",
                         -mixed, -plain));
    const Ids chosen = greedy(endpoint, text);
    if (!chosen.empty()) {
      text.insert(text.end(), chosen.begin(), chosen.end());
      const std::vector<float> all = examine_text(endpoint, text);
      const double mean = mean_of({all.end() - static_cast<std::ptrdiff_t>(chosen.size()), all.end()});
      if (mean < argmax_bound(*tokenizer_) - kRounding) refuse(below_bound(mean, *tokenizer_));
    }
    noise_ = std::max(noise_, std::abs(mean_of(first) - mean_of(second)));
    info("scorer {}: {:.3f} nats a token on the sample text, {:.1e} between two answers",
         endpoints_.url(endpoint), -plain, noise_);
  } catch (const Error& error) {
    if (error.code() != Code::corrupt) throw;
    refuse(error.message());
  }
}

double HttpScorer::noise_nats() {
  const std::string hash = model::request_hash("NOISE", name(), "");
  if (const auto known = evidence_.find(hash, 0)) {
    double value = 0;
    try {
      value = get<double>(parse_json(known->body, "evidence"), "nats_a_token", "evidence");
    } catch (const Error& error) {
      fail(Code::corrupt, "the evidence of the scorer's noise is broken: {}", error.message());
    }
    return value;
  }
  const int64_t spending = evidence_.will_spend(ScorerConfig::kSection, {});
  evidence_.record(hash, 0, {200, to_text({{"nats_a_token", noise_}}), {}}, spending);
  return noise_;
}

}  // namespace retrace::synth
