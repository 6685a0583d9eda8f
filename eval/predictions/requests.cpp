#include "eval/predictions/requests.h"

#include "core/error.h"
#include "core/text.h"
#include "model/engine/rolling.h"

namespace retrace::eval {
namespace {

// lm-eval looks for a stop string in the text of the last tokens: as many as the string has, and two.
class StopWatch {
 public:
  StopWatch(const data::Tokenizer& tokenizer, const std::vector<std::string>& until) : tokenizer_(tokenizer) {
    for (const auto& stop : until)
      if (!stop.empty()) stops_.push_back({stop, tokenizer.encode(stop).size() + 2});
  }
  bool seen(const std::vector<int32_t>& tokens) const {
    for (const auto& [stop, tokens_back] : stops_) {
      const size_t from = tokens.size() - std::min(tokens.size(), tokens_back);
      const std::vector<int32_t> tail(tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.end());
      if (tokenizer_.decode(tail).find(stop) != std::string::npos) return true;
    }
    return false;
  }

 private:
  const data::Tokenizer& tokenizer_;
  std::vector<std::pair<std::string, size_t>> stops_;
};

}  // namespace

PromptIds prompt_ids(const std::string& prompt, const data::Tokenizer& tokenizer, bool add_bos,
                     int64_t max_tokens) {
  if (max_tokens < 1)
    throw Error(Code::recipe, "the model's length leaves no room for a prompt",
                "lower eval.max_gen_tokens or raise eval.max_length", "eval.max_length");
  PromptIds out;
  std::string_view text = prompt;
  if (const auto bos = tokenizer.bos()) {
    const std::string spelled = tokenizer.decode({*bos});
    const bool starts_with_bos = !spelled.empty() && text.starts_with(spelled);
    if (starts_with_bos) text.remove_prefix(spelled.size());
    if (starts_with_bos || add_bos) out.ids.push_back(*bos);
  }
  for (const auto id : tokenizer.encode(text)) out.ids.push_back(id);
  if (static_cast<int64_t>(out.ids.size()) > max_tokens) {
    out.dropped = static_cast<int64_t>(out.ids.size()) - max_tokens;
    out.ids.erase(out.ids.begin(), out.ids.begin() + out.dropped);
  }
  out.bos = !out.ids.empty() && tokenizer.bos() && out.ids.front() == *tokenizer.bos();
  return out;
}

std::string cut_at_stops(std::string text, const std::vector<std::string>& until) {
  for (const auto& stop : until) {
    if (stop.empty()) continue;
    const size_t at = text.find(stop);
    if (at != std::string::npos) text.resize(at);
  }
  return text;
}

Reply generate_reply(model::Engine& engine, const data::Tokenizer& tokenizer, const std::string& prompt,
                     const RequestSettings& settings) {
  const PromptIds ids =
      prompt_ids(prompt, tokenizer, settings.add_bos, settings.max_length - settings.max_gen_tokens);
  if (ids.ids.empty())
    throw Error(Code::input, "an empty prompt and no BOS token to begin with",
                "set eval.add_bos, or use another tokenizer");
  model::GenerateOptions options;
  options.max_tokens = settings.max_gen_tokens;
  options.temperature = settings.temperature;
  options.top_p = settings.top_p;
  options.seed = settings.seed;
  for (const auto id : engine.config().eos_token_ids) options.stop_tokens.push_back(static_cast<int32_t>(id));
  std::vector<std::string> until = settings.until;
  if (const auto eos = tokenizer.eos()) {
    options.stop_tokens.push_back(*eos);
    until.push_back(tokenizer.decode({*eos}));
  }
  const StopWatch watch(tokenizer, until);
  bool stopped = false;
  options.should_stop = [&](const std::vector<int32_t>& tokens) { return stopped = watch.seen(tokens); };
  const auto tokens = engine.generate(ids.ids, options);
  Reply reply;
  reply.answer.text = cut_at_stops(utf8_lossy(tokenizer.decode(tokens, true)), until);
  reply.prompt_tokens = static_cast<int64_t>(ids.ids.size());
  reply.dropped_tokens = ids.dropped;
  reply.new_tokens = static_cast<int64_t>(tokens.size());
  reply.finish = stopped ? "stop" : reply.new_tokens < settings.max_gen_tokens ? "eos" : "length";
  return reply;
}

Reply score_reply(model::Engine& engine, const data::Tokenizer& tokenizer, const std::string& text,
                  int64_t max_length) {
  const auto prefix = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
  if (!prefix)
    throw Error(Code::input, "the tokenizer has neither BOS nor EOS to condition the first token on",
                "use a tokenizer with one of them");
  std::vector<int32_t> ids{*prefix};
  for (const auto id : tokenizer.encode(text)) ids.push_back(id);
  Reply reply;
  reply.finish = "scored";
  reply.prompt_tokens = static_cast<int64_t>(ids.size()) - 1;
  if (reply.prompt_tokens > 0)
    for (const float logprob : model::rolling_logprobs(engine, ids, max_length))
      reply.answer.loglikelihood += logprob;
  return reply;
}

}  // namespace retrace::eval
