#include "synth/generate/local_generator.h"

#include <utility>

#include "core/error.h"
#include "core/json.h"

namespace retrace::synth {

namespace {

constexpr const char* kRole = "local";  // in the record of what was spent: no budget counts it

}  // namespace

struct LocalGenerator::Asked {
  size_t request = 0;
  int attempt = 0;
  std::string hash;
  std::vector<data::TokenId> prompt;
  uint64_t seed = 0;
  std::optional<model::StoredAnswer> answer;
};

LocalGenerator::LocalGenerator(GeneratorConfig config, Prompts prompts, LocalWriter writer,
                               model::Evidence& evidence)
    : config_(std::move(config)),
      prompts_(std::move(prompts)),
      writer_(std::move(writer)),
      evidence_(evidence) {
  if (config_.budget_tokens > 0 || config_.budget_usd > 0)
    throw Error(Code::recipe, "a budget is for a model behind HTTP; weights in this process have none",
                "leave it at 0",
                config_.budget_tokens > 0 ? "generator.budget_tokens" : "generator.budget_usd");
}

std::string LocalGenerator::name() const {
  return fmt::format("local/{}/{}", writer_.weights_name, prompts_.fingerprint.substr(0, 12));
}

std::string LocalGenerator::fill(const SlotRequest& request) {
  return fill_all({request})[0].text;
}

LocalGenerator::Asked LocalGenerator::ask_for(const SlotRequest& r, size_t number, int attempt) const {
  const Prompt prompt = make_prompt(prompts_, r, static_cast<size_t>(config_.max_prompt_kib) << 10);
  Asked out;
  out.request = number;
  out.attempt = attempt;
  out.prompt = chat_ids(writer_.form, prompt, *writer_.tokenizer);
  out.seed = answer_seed(r, attempt);
  const Json question = {{"weights", writer_.engine->fingerprint()},
                         {"dtype", writer_.dtype},
                         {"ids", out.prompt},
                         {"temperature", config_.temperature},
                         {"top_p", config_.top_p},
                         {"max_tokens", config_.max_tokens},
                         {"seed", out.seed}};
  out.hash = model::request_hash("LOCAL", "/generate", to_text(question));
  return out;
}

// In the shape in which a server answers, so that one parser reads both.
model::StoredAnswer LocalGenerator::answer_of(const std::vector<data::TokenId>& made,
                                              size_t prompt_tokens) const {
  const auto count = static_cast<int64_t>(made.size());
  const std::string text = writer_.tokenizer->decode(made);
  Json choice = {{"finish_reason", count >= config_.max_tokens ? "length" : "stop"}};
  if (config_.api == "chat")
    choice["message"] = {{"role", "assistant"}, {"content", text}};
  else
    choice["text"] = text;
  const model::Usage usage = {static_cast<int64_t>(prompt_tokens), count};
  return {200, to_text({{"choices", {choice}}}), usage};
}

void LocalGenerator::answer_all(std::vector<Asked>& asked) {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<model::GenerateOptions> options;
  std::vector<size_t> missing;
  for (size_t i = 0; i < asked.size(); ++i) {
    asked[i].answer = evidence_.find(asked[i].hash, asked[i].attempt);
    if (asked[i].answer) continue;
    missing.push_back(i);
    prompts.push_back(asked[i].prompt);
    model::GenerateOptions o;
    o.max_tokens = config_.max_tokens;
    o.temperature = config_.temperature;
    o.top_p = config_.top_p;
    o.seed = asked[i].seed;
    o.stop_tokens = chat_stops(writer_.form, *writer_.tokenizer);
    for (const auto id : writer_.engine->config().eos_token_ids)
      o.stop_tokens.push_back(static_cast<int32_t>(id));
    o.should_stop = [this](const std::vector<int32_t>&) {
      if (tick) tick();
      return false;
    };
    options.push_back(std::move(o));
  }
  if (missing.empty()) return;
  writer_.engine->generate_all(prompts, options, [&](size_t k, const std::vector<int32_t>& made) {
    Asked& a = asked[missing[k]];
    a.answer = answer_of(made, a.prompt.size());
    evidence_.record(a.hash, a.attempt, *a.answer, evidence_.will_spend(kRole, a.answer->usage));
  });
}

std::vector<Draft> LocalGenerator::fill_all(const std::vector<SlotRequest>& requests) {
  ensure(writer_.engine != nullptr, "weights are loaded before anything is written");
  Drafting drafting(config_, name(), requests, counts_, settled);
  const int64_t limit = writer_.engine->config().max_position_embeddings;
  std::vector<Asked> asked;
  for (size_t i = 0; i < requests.size(); ++i) {
    Asked a = ask_for(requests[i], i, 0);
    if (static_cast<int64_t>(a.prompt.size()) + config_.max_tokens > limit)
      drafting.give_up(i, "prompt_too_long");
    else
      asked.push_back(std::move(a));
  }
  while (!asked.empty()) {
    answer_all(asked);
    std::vector<Asked> again;
    for (const Asked& a : asked)
      if (const auto attempt = drafting.take(a.request, a.answer.value()))
        again.push_back(ask_for(requests[a.request], a.request, *attempt));
    asked = std::move(again);
  }
  return drafting.drafts();
}

Counts LocalGenerator::take_counts() {
  return std::exchange(counts_, {});
}

}  // namespace retrace::synth
