#include "synth/generate/http_generator.h"

#include "core/error.h"
#include "core/json.h"

namespace retrace::synth {

namespace {

constexpr int64_t kTemplateTokens = 256;  // at most, of a chat template around two messages

}  // namespace

HttpGenerator::HttpGenerator(GeneratorConfig config, Prompts prompts, model::Endpoints& endpoints)
    : config_(std::move(config)), prompts_(std::move(prompts)), endpoints_(endpoints) {
  if (config_.model.empty())
    throw Error(Code::recipe, "the generator's model is not named",
                "the name under which the server knows it", "generator.model");
}

std::string HttpGenerator::name() const {
  return fmt::format("http/{}{}/{}", config_.model, config_.dtype.empty() ? "" : "/" + config_.dtype,
                     prompts_.fingerprint.substr(0, 12));
}

std::string HttpGenerator::fill(const SlotRequest& request) {
  return fill_all({request})[0].text;
}

model::Ask HttpGenerator::ask_for(const SlotRequest& r, int attempt) const {
  const Prompt prompt = make_prompt(prompts_, r, static_cast<size_t>(config_.max_prompt_kib) << 10);
  Json body = {{"model", config_.model}};
  const bool chat = config_.api == "chat";
  if (chat) {
    body["messages"] = {{{"role", "system"}, {"content", prompt.system}},
                        {{"role", "user"}, {"content", prompt.user}}};
  } else {
    body["prompt"] = plain_prompt(prompt);
  }
  body["temperature"] = config_.temperature;
  body["top_p"] = config_.top_p;
  body["max_tokens"] = config_.max_tokens;
  body["seed"] = answer_seed(r, attempt);
  model::Ask ask;
  ask.path = chat ? "/v1/chat/completions" : "/v1/completions";
  ask.body = to_text(body);
  if (!config_.dtype.empty()) ask.about = "dtype " + config_.dtype + "\n";
  ask.attempt = attempt;
  // No tokenizer makes more tokens than bytes.
  ask.most = {static_cast<int64_t>(prompt.system.size() + prompt.user.size()) + kTemplateTokens,
              config_.max_tokens};
  return ask;
}

std::vector<Draft> HttpGenerator::fill_all(const std::vector<SlotRequest>& requests) {
  Drafting drafting(config_, name(), requests, counts_, settled);
  std::vector<model::Ask> asks;
  for (const SlotRequest& r : requests) asks.push_back(ask_for(r, 0));
  endpoints_.ask_all(std::move(asks),
                     [&](size_t i, const model::StoredAnswer& answer) -> std::optional<model::Ask> {
                       const std::optional<int> attempt = drafting.take(i, answer);
                       return attempt ? std::optional(ask_for(requests[i], *attempt)) : std::nullopt;
                     });
  return drafting.drafts();
}

Counts HttpGenerator::take_counts() {
  return std::exchange(counts_, {});
}

std::string generator_identity(const GeneratorConfig& c, const Prompts& prompts) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {}{}", c.api, c.model, c.temperature, c.top_p,
                     c.max_tokens, c.max_prompt_kib, c.max_chars, c.max_code_lines, c.attempts,
                     c.max_response_mib, prompts.fingerprint, c.dtype.empty() ? "" : " " + c.dtype);
}

}  // namespace retrace::synth
