#include "model/endpoint/endpoint_model.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "model/endpoint/http_rules.h"

namespace retrace::model {

namespace {

constexpr int64_t kTemplateTokens = 256;  // at most, of a chat template around a message
constexpr size_t kStops = 4;              // that OpenAI's API takes; the text is cut at the others here
constexpr uint64_t kLargestSeed = std::numeric_limits<int64_t>::max();

[[noreturn]] void broken(const std::string& why) {
  throw Error(Code::corrupt, why, "", "the model's answer");
}

const Json& member(const Json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || found == json.end()) broken(fmt::format("it has no {}", key));
  return *found;
}

// vLLM says the stop string in stop_reason, SGLang in matched_stop; null or an id there is EOS. Who says
// neither has met a stop string, as far as there was one.
std::string finish_of(const Json& choice, const std::vector<std::string>& stops) {
  const auto reason = get_or<std::string>(choice, "finish_reason", "", "answer");
  if (reason == "length") return "length";
  if (reason != "stop") broken(fmt::format("the text ended for the reason '{}'", reason));
  for (const char* key : {"stop_reason", "matched_stop"})
    if (choice.contains(key)) return choice[key].is_string() ? "stop" : "eos";
  return stops.empty() ? "eos" : "stop";
}

}  // namespace

EndpointModel::EndpointModel(EndpointModelOptions options, std::shared_ptr<const data::Tokenizer> tokenizer,
                             Endpoints& endpoints, std::string role)
    : options_(std::move(options)),
      tokenizer_(std::move(tokenizer)),
      endpoints_(endpoints),
      role_(std::move(role)) {
  if (options_.server.model.empty())
    throw Error(Code::recipe, "the model behind the endpoints is not named",
                "the name under which the server knows it", role_ + ".model");
}

Capabilities EndpointModel::capabilities() const {
  return {true, can_score(), can_score() && options_.max_length > 0,
          can_score() && options_.server.dialect == ScoreDialect::vllm, options_.max_length};
}

std::string EndpointModel::identity() const {
  const LogprobServer& server = options_.server;
  const char* api = options_.chat ? "chat" : server.dialect == ScoreDialect::vllm ? "vllm" : "sglang";
  std::string out = fmt::format("http/{}/{}", api, server.model);
  if (tokenizer_) out += "/" + tokenizer_->fingerprint().substr(0, 12);
  return server.dtype.empty() ? out : out + "/" + server.dtype;
}

void EndpointModel::need_scoring(const char* request) const {
  if (options_.chat)
    throw Error(
        Code::recipe,
        fmt::format("{} cannot be asked of a chat API: it gives no log-probability of a text", request),
        "use the completions API of vLLM or SGLang", role_ + ".endpoints");
  if (!tokenizer_)
    throw Error(Code::recipe,
                fmt::format("{} cannot be asked of an endpoint without the model's tokenizer", request),
                "name the tokenizer of the served model", role_ + ".endpoints");
}

void EndpointModel::ask_all(const std::vector<Ask>& asks, const Read& read) {
  std::string refused;
  std::vector<int> attempts(asks.size(), 0);
  endpoints_.ask_all(asks, [&](size_t i, const StoredAnswer& answer) -> std::optional<Ask> {
    std::string why = fmt::format("HTTP {}: {}", answer.status, shorten(utf8_lossy(answer.body), 200));
    try {
      if (answer.status == 200) {
        read(i, answer.body);
        return std::nullopt;
      }
    } catch (const Error& error) {
      if (error.code() != Code::corrupt) throw;
      why = error.message();
    }
    if (answer.status < 400 && ++attempts[i] < options_.attempts) {
      Ask again = asks[i];
      again.attempt = attempts[i];
      return again;
    }
    if (refused.empty()) refused = why;
    return std::nullopt;
  });
  if (!refused.empty())
    throw Error(Code::input, fmt::format("the server gives no answer to a request: {}", refused),
                "does it serve this model and this request, with room for the prompt?", role_ + ".endpoints");
}

Ask EndpointModel::text_ask(const GenerateRequest& request, const PromptIds& prompt) const {
  Json body = {{"model", options_.server.model}, {"max_tokens", request.max_tokens}};
  if (options_.chat)
    body["messages"] = Json::array({{{"role", "user"}, {"content", request.prompt}}});
  else if (tokenizer_)
    body["prompt"] = prompt.ids;
  else
    body["prompt"] = request.prompt;
  body["temperature"] = request.temperature;
  if (request.temperature > 0) {
    body["top_p"] = request.top_p;
    body["seed"] = request.seed & kLargestSeed;
  }
  std::vector<std::string> stops;
  for (const std::string& stop : request.stop)
    if (!stop.empty() && stops.size() < kStops) stops.push_back(stop);
  if (!stops.empty()) body["stop"] = stops;
  Ask ask;
  ask.path = options_.chat ? "/v1/chat/completions" : "/v1/completions";
  ask.body = to_text(body);
  if (!options_.server.dtype.empty()) ask.about = "dtype " + options_.server.dtype + "\n";
  // No tokenizer makes more tokens than bytes.
  const bool ids = tokenizer_ && !options_.chat;
  ask.most = {ids ? static_cast<int64_t>(prompt.ids.size())
                  : static_cast<int64_t>(request.prompt.size()) + kTemplateTokens,
              request.max_tokens};
  return ask;
}

GeneratedText EndpointModel::text_of(const std::string& body, const GenerateRequest& request,
                                     const PromptIds& prompt) const {
  const Json answer = parse_json(body, "the model's answer");
  const Json& choices = member(answer, "choices");
  if (!choices.is_array() || choices.size() != 1) broken("there is not exactly one choice");
  const Json& told =
      options_.chat ? member(member(choices[0], "message"), "content") : member(choices[0], "text");
  if (!told.is_string()) broken("the text is no string");
  const auto raw = told.get<std::string>();
  GeneratedText out;
  out.text = cut_at_stops(raw, tokenizer_ ? with_eos(request.stop, *tokenizer_) : request.stop);
  out.finish = out.text.size() < raw.size() ? "stop" : finish_of(choices[0], request.stop);
  const Usage usage = usage_in(body).value_or(Usage{});
  out.prompt_tokens = prompt.ids.empty() ? usage.prompt_tokens : static_cast<int64_t>(prompt.ids.size());
  out.dropped_tokens = prompt.dropped;
  out.new_tokens = usage.completion_tokens;
  return out;
}

std::vector<GeneratedText> EndpointModel::generate_until(const std::vector<GenerateRequest>& requests) {
  std::vector<PromptIds> prompts(requests.size());
  std::vector<Ask> asks;
  for (size_t i = 0; i < requests.size(); ++i) {
    const int64_t room = options_.max_length > 0 ? options_.max_length - requests[i].max_tokens
                                                 : std::numeric_limits<int64_t>::max();
    if (!options_.chat && tokenizer_) {
      prompts[i] = prompt_ids(requests[i].prompt, *tokenizer_, options_.add_bos, room);
      if (prompts[i].ids.empty())
        throw Error(Code::input, "an empty prompt and no BOS token to begin with",
                    "let the model add BOS, or use another tokenizer");
    }
    asks.push_back(text_ask(requests[i], prompts[i]));
  }
  std::vector<GeneratedText> out(requests.size());
  ask_all(asks, [&](size_t i, const std::string& body) { out[i] = text_of(body, requests[i], prompts[i]); });
  return out;
}

std::vector<Loglikelihood> EndpointModel::loglikelihood(const std::vector<LoglikelihoodRequest>& requests) {
  need_scoring("loglikelihood");
  std::vector<ScoredIds> texts;
  std::vector<Loglikelihood> out;
  std::vector<Ask> asks;
  std::vector<size_t> places;
  for (const LoglikelihoodRequest& request : requests) {
    texts.push_back(continuation_ids(request.context, request.continuation, *tokenizer_, options_.add_bos,
                                     options_.max_length));
    const ScoredIds& text = texts.back();
    out.push_back({0, std::nullopt, text.scored, text.dropped});
    if (text.scored == 0) {
      out.back().is_greedy = true;
      continue;
    }
    places.push_back(texts.size() - 1);
    asks.push_back(logprob_ask(options_.server, text.ids, static_cast<size_t>(text.scored), 1));
  }
  ask_all(asks, [&](size_t i, const std::string& body) {
    const ScoredIds& text = texts[places[i]];
    Loglikelihood result = out[places[i]];
    const auto last = static_cast<size_t>(text.scored);
    for (const float logprob : read_score_answer(options_.server.dialect, body, text.ids, last))
      result.nats += logprob;
    result.is_greedy = read_greedy(options_.server.dialect, body, text.ids, last);
    out[places[i]] = result;
  });
  return out;
}

std::vector<Loglikelihood> EndpointModel::loglikelihood_rolling(const std::vector<RollingRequest>& requests) {
  need_scoring("loglikelihood_rolling");
  if (options_.max_length <= 0)
    throw Error(Code::recipe,
                "loglikelihood_rolling cannot be asked of an endpoint whose length is not known",
                "state how many tokens the served model reads", role_ + ".endpoints");
  std::vector<std::vector<int32_t>> parts;
  std::vector<size_t> last, places;
  std::vector<Ask> asks;
  std::vector<Loglikelihood> out(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::vector<int32_t> ids = rolling_ids(requests[i].text, *tokenizer_);
    out[i].tokens = static_cast<int64_t>(ids.size()) - 1;
    for (const RollingWindow& w : rolling_windows(static_cast<int64_t>(ids.size()), options_.max_length)) {
      parts.emplace_back(ids.begin() + w.begin, ids.begin() + w.end);
      last.push_back(static_cast<size_t>(w.end - w.from));
      places.push_back(i);
      asks.push_back(logprob_ask(options_.server, parts.back(), last.back(), 1));
    }
  }
  std::vector<std::vector<float>> scores(asks.size());
  ask_all(asks, [&](size_t k, const std::string& body) {
    scores[k] = read_score_answer(options_.server.dialect, body, parts[k], last[k]);
  });
  for (size_t k = 0; k < scores.size(); ++k)  // in the order of the text, whichever came first
    for (const float logprob : scores[k]) out[places[k]].nats += logprob;
  return out;
}

}  // namespace retrace::model
