#include "eval/predictions/requests.h"

#include "core/error.h"
#include "model/engine/engine_model.h"

namespace retrace::eval {

PromptIds prompt_ids(const std::string& prompt, const data::Tokenizer& tokenizer, bool add_bos,
                     int64_t max_tokens) {
  if (max_tokens < 1)
    throw Error(Code::recipe, "the model's length leaves no room for a prompt",
                "lower eval.max_gen_tokens or raise eval.max_length", "eval.max_length");
  return model::prompt_ids(prompt, tokenizer, add_bos, max_tokens);
}

Reply generate_reply(model::Engine& engine, const data::Tokenizer& tokenizer, const std::string& prompt,
                     const RequestSettings& settings) {
  const PromptIds ids =
      prompt_ids(prompt, tokenizer, settings.add_bos, settings.max_length - settings.max_gen_tokens);
  if (ids.ids.empty())
    throw Error(Code::input, "an empty prompt and no BOS token to begin with",
                "set eval.add_bos, or use another tokenizer");
  const model::GenerateRequest request = {
      prompt, settings.until, settings.max_gen_tokens, settings.temperature, settings.top_p, settings.seed};
  model::GeneratedText text = model::generate_texts(engine, tokenizer, {ids}, {request})[0];
  Reply reply;
  reply.answer.text = std::move(text.text);
  reply.prompt_tokens = text.prompt_tokens;
  reply.dropped_tokens = text.dropped_tokens;
  reply.new_tokens = text.new_tokens;
  reply.finish = std::move(text.finish);
  return reply;
}

Reply score_reply(model::Engine& engine, const data::Tokenizer& tokenizer, const std::string& text,
                  int64_t max_length) {
  const model::Loglikelihood score = model::rolling_loglikelihood(engine, tokenizer, text, max_length);
  Reply reply;
  reply.finish = "scored";
  reply.prompt_tokens = score.tokens;
  reply.answer.loglikelihood = score.nats;
  return reply;
}

}  // namespace retrace::eval
