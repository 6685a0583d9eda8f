#include "model/engine/engine_model.h"

#include <deque>

#include "core/error.h"
#include "core/text.h"
#include "model/engine/rolling.h"

namespace retrace::model {

namespace {

// One text while it is generated; stays where it is, its options point here.
struct OpenText {
  OpenText(const data::Tokenizer& tokenizer, const GenerateRequest& request)
      : until(with_eos(request.stop, tokenizer)), watch(tokenizer, until) {}
  OpenText(const OpenText&) = delete;
  OpenText& operator=(const OpenText&) = delete;
  std::vector<std::string> until;
  StopWatch watch;
  bool stopped = false;
};

GenerateOptions options_of(const Engine& engine, const data::Tokenizer& tokenizer,
                           const GenerateRequest& request, OpenText& open) {
  GenerateOptions options;
  options.max_tokens = request.max_tokens;
  options.temperature = request.temperature;
  options.top_p = request.top_p;
  options.seed = request.seed;
  for (const auto id : engine.config().eos_token_ids) options.stop_tokens.push_back(static_cast<int32_t>(id));
  if (const auto eos = tokenizer.eos()) options.stop_tokens.push_back(*eos);
  options.should_stop = [&open](const std::vector<int32_t>& tokens) {
    return open.stopped = open.watch.seen(tokens);
  };
  return options;
}

GeneratedText text_of(const data::Tokenizer& tokenizer, const PromptIds& prompt,
                      const GenerateRequest& request, const OpenText& open,
                      const std::vector<int32_t>& tokens) {
  GeneratedText out;
  out.text = cut_at_stops(utf8_lossy(tokenizer.decode(tokens, true)), open.until);
  out.prompt_tokens = static_cast<int64_t>(prompt.ids.size());
  out.dropped_tokens = prompt.dropped;
  out.new_tokens = static_cast<int64_t>(tokens.size());
  out.finish = open.stopped ? "stop" : out.new_tokens < request.max_tokens ? "eos" : "length";
  return out;
}

}  // namespace

std::vector<GeneratedText> generate_texts(Engine& engine, const data::Tokenizer& tokenizer,
                                          const std::vector<PromptIds>& prompts,
                                          const std::vector<GenerateRequest>& requests) {
  ensure(prompts.size() == requests.size(), "every prompt has its request");
  std::deque<OpenText> open;
  std::vector<std::vector<int32_t>> ids;
  std::vector<GenerateOptions> options;
  for (size_t i = 0; i < prompts.size(); ++i) {
    open.emplace_back(tokenizer, requests[i]);
    ids.push_back(prompts[i].ids);
    options.push_back(options_of(engine, tokenizer, requests[i], open.back()));
  }
  std::vector<GeneratedText> out(prompts.size());
  engine.generate_all(ids, options, [&](size_t i, const std::vector<int32_t>& tokens) {
    out[i] = text_of(tokenizer, prompts[i], requests[i], open[i], tokens);
  });
  return out;
}

Loglikelihood rolling_loglikelihood(Engine& engine, const data::Tokenizer& tokenizer, const std::string& text,
                                    int64_t max_length) {
  const std::vector<int32_t> ids = rolling_ids(text, tokenizer);
  Loglikelihood out;
  out.tokens = static_cast<int64_t>(ids.size()) - 1;
  if (out.tokens > 0)
    for (const float logprob : rolling_logprobs(engine, ids, max_length)) out.nats += logprob;
  return out;
}

EngineModel::EngineModel(Engine& engine, std::shared_ptr<const data::Tokenizer> tokenizer,
                         EngineModelOptions options)
    : engine_(engine), tokenizer_(std::move(tokenizer)), options_(std::move(options)) {
  if (options_.max_length <= 0) options_.max_length = engine_.config().max_position_embeddings;
}

Capabilities EngineModel::capabilities() const {
  return {true, true, true, true, options_.max_length};
}

std::string EngineModel::identity() const {
  return fmt::format("engine/{}/{}/{}", engine_.fingerprint(), tokenizer_->fingerprint().substr(0, 12),
                     options_.dtype);
}

std::vector<GeneratedText> EngineModel::generate_until(const std::vector<GenerateRequest>& requests) {
  std::vector<PromptIds> prompts;
  for (const GenerateRequest& request : requests) {
    prompts.push_back(
        prompt_ids(request.prompt, *tokenizer_, options_.add_bos, options_.max_length - request.max_tokens));
    if (prompts.back().ids.empty())
      throw Error(Code::input, "an empty prompt and no BOS token to begin with",
                  "let the model add BOS, or use another tokenizer");
  }
  return generate_texts(engine_, *tokenizer_, prompts, requests);
}

std::vector<Loglikelihood> EngineModel::loglikelihood(const std::vector<LoglikelihoodRequest>& requests) {
  std::vector<Loglikelihood> out;
  for (const LoglikelihoodRequest& request : requests) {
    const ScoredIds text = continuation_ids(request.context, request.continuation, *tokenizer_,
                                            options_.add_bos, options_.max_length);
    Loglikelihood result;
    result.tokens = text.scored;
    result.dropped_tokens = text.dropped;
    if (text.scored > 0)
      for (const float logprob :
           engine_.logprobs(text.ids, static_cast<int64_t>(text.ids.size()) - text.scored))
        result.nats += logprob;
    result.is_greedy = greedy_gives(text);
    out.push_back(result);
  }
  return out;
}

// Decodes until the first token that is another, past EOS.
bool EngineModel::greedy_gives(const ScoredIds& text) {
  if (text.scored == 0) return true;
  const auto begin = text.ids.end() - text.scored;
  GenerateOptions options;
  options.max_tokens = text.scored;
  options.should_stop = [&](const std::vector<int32_t>& tokens) {
    return tokens.back() != begin[static_cast<std::ptrdiff_t>(tokens.size()) - 1];
  };
  return engine_.generate({text.ids.begin(), begin}, options) == std::vector<int32_t>(begin, text.ids.end());
}

std::vector<Loglikelihood> EngineModel::loglikelihood_rolling(const std::vector<RollingRequest>& requests) {
  std::vector<Loglikelihood> out;
  for (const RollingRequest& request : requests)
    out.push_back(rolling_loglikelihood(engine_, *tokenizer_, request.text, options_.max_length));
  return out;
}

}  // namespace retrace::model
