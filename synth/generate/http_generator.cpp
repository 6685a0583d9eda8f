#include "synth/generate/http_generator.h"

#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/random.h"
#include "synth/generate/answer.h"

namespace retrace::synth {

namespace {

constexpr int64_t kTemplateTokens = 256;  // at most, of a chat template around two messages
constexpr uint64_t kSeeds = uint64_t{1} << 31;

}  // namespace

HttpGenerator::HttpGenerator(GeneratorConfig config, Prompts prompts, Endpoints& endpoints)
    : config_(std::move(config)),
      prompts_(std::move(prompts)),
      endpoints_(endpoints),
      fallback_(make_template_generator()) {
  if (config_.model.empty())
    throw Error(Code::recipe, "the generator's model is not named",
                "the name under which the server knows it", "generator.model");
}

std::string HttpGenerator::name() const {
  return fmt::format("http/{}/{}", config_.model, prompts_.fingerprint.substr(0, 12));
}

std::string HttpGenerator::fill(const SlotRequest& request) {
  return fill_all({request})[0].text;
}

Ask HttpGenerator::ask_for(const SlotRequest& r, int attempt) const {
  const Prompt prompt = make_prompt(prompts_, r, static_cast<size_t>(config_.max_prompt_kib) << 10);
  const uint64_t stream = stream_id(fmt::format("{}:{}:{}", r.trajectory->id, r.step->seq, r.candidate));
  Json body = {{"model", config_.model}};
  const bool chat = config_.api == "chat";
  if (chat) {
    body["messages"] = {{{"role", "system"}, {"content", prompt.system}},
                        {{"role", "user"}, {"content", prompt.user}}};
  } else {
    body["prompt"] = prompt.system + "\n\n" + prompt.user + "\n\nThe note:\n";
  }
  body["temperature"] = config_.temperature;
  body["top_p"] = config_.top_p;
  body["max_tokens"] = config_.max_tokens;
  body["seed"] = random_u64(r.seed, stream, static_cast<uint64_t>(attempt)) % kSeeds;
  Ask ask;
  ask.path = chat ? "/v1/chat/completions" : "/v1/completions";
  ask.body = to_text(body);
  ask.attempt = attempt;
  // No tokenizer makes more tokens than bytes.
  ask.most = {static_cast<int64_t>(prompt.system.size() + prompt.user.size()) + kTemplateTokens,
              config_.max_tokens};
  return ask;
}

std::vector<Draft> HttpGenerator::fill_all(const std::vector<SlotRequest>& requests) {
  const AnswerRules rules = {config_.api == "chat", static_cast<size_t>(config_.max_chars),
                             config_.max_code_lines};
  std::vector<Draft> out(requests.size());
  std::vector<std::string> given_up(requests.size());
  std::vector<int> attempts(requests.size(), 0);
  std::vector<Ask> asks;
  for (const SlotRequest& r : requests) asks.push_back(ask_for(r, 0));
  endpoints_.ask_all(std::move(asks), [&](size_t i, const StoredAnswer& answer) -> std::optional<Ask> {
    CheckedAnswer checked;
    if (answer.status == 200)
      checked = check_answer(answer.body, rules);
    else
      checked.problem = answer.status == 0 ? "oversized" : fmt::format("http_{}", answer.status);
    if (checked.problem.empty()) {
      out[i] = {std::move(checked.text), name()};
      return std::nullopt;
    }
    ++counts_["refused_" + checked.problem];
    debug("an answer of the generator is refused: {}", checked.problem);
    // A request that the server finds wrong is wrong with another seed too.
    if (answer.status < 400 && ++attempts[i] < config_.attempts) return ask_for(requests[i], attempts[i]);
    given_up[i] = checked.problem;
    return std::nullopt;
  });
  for (size_t i = 0; i < requests.size(); ++i) {
    if (given_up[i].empty()) continue;
    if (config_.on_failure == "stop")
      throw Error(Code::incomplete,
                  fmt::format("the generator gave no usable text for step {} of {}: {}",
                              requests[i].step->seq, requests[i].trajectory->origin, given_up[i]),
                  "another model or prompt, or generator.on_failure = \"template\"", "generator.on_failure");
    ++counts_["given_up_" + given_up[i]];
    out[i] = {requests[i].incumbent.empty() ? fallback_->fill(requests[i]) : "", fallback_->name()};
  }
  return out;
}

std::map<std::string, int64_t> HttpGenerator::take_counts() {
  return std::exchange(counts_, {});
}

std::string generator_identity(const GeneratorConfig& c, const Prompts& prompts) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {}", c.api, c.model, c.temperature, c.top_p, c.max_tokens,
                     c.max_prompt_kib, c.max_chars, c.max_code_lines, c.attempts, c.max_response_mib,
                     prompts.fingerprint);
}

EndpointOptions endpoint_options(const GeneratorConfig& c) {
  EndpointOptions out;
  out.role = GeneratorConfig::kSection;
  out.urls = c.endpoints;
  out.api_key_env = c.api_key_env;
  out.connect_timeout_s = c.connect_timeout_s;
  out.timeout_s = c.timeout_s;
  out.retries = c.retries;
  out.backoff_s = c.backoff_s;
  out.max_in_flight = c.max_in_flight;
  out.max_response_mib = c.max_response_mib;
  return out;
}

BudgetLimits budget_limits(const GeneratorConfig& c) {
  return {c.budget_tokens, c.budget_usd, c.usd_per_million_input, c.usd_per_million_output};
}

}  // namespace retrace::synth
