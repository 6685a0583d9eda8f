#include "model/engine/scoring.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "core/error.h"
#include "model/engine/rolling.h"

namespace retrace::model {

double TextScore::perplexity() const {
  if (logprobs.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::exp(nll / static_cast<double>(logprobs.size()));
}

double TextScore::bits_per_byte() const {
  if (logprobs.empty() || scored_bytes == 0) return std::numeric_limits<double>::quiet_NaN();
  return nll / std::numbers::ln2 / static_cast<double>(scored_bytes);
}

TextScore score_text(Engine& engine, const data::Tokenizer& tokenizer, std::string_view bytes, int64_t window,
                     const std::function<void(int64_t tokens)>& progress) {
  TextScore score;
  score.ids = tokenizer.encode(bytes);
  score.scored_bytes = bytes.size();
  if (const auto bos = tokenizer.bos()) {
    score.ids.insert(score.ids.begin(), *bos);
  } else if (!score.ids.empty()) {
    score.scored_bytes -= std::min<uint64_t>(bytes.size(), tokenizer.decode({score.ids[0]}).size());
  }
  for (const int32_t id : score.ids)
    if (id >= engine.config().vocab_size)
      fail(Code::input, "the tokenizer gives id {}, the model has {}", id, engine.config().vocab_size);
  score.logprobs = rolling_logprobs(engine, score.ids,
                                    window > 0 ? window : engine.config().max_position_embeddings, progress);
  for (const float logprob : score.logprobs) score.nll -= logprob;
  return score;
}

Json to_json(const TextScore& score, bool per_token) {
  Json json = {{"tokens", score.logprobs.size()},
               {"nll", score.nll},
               {"ppl", score.perplexity()},
               {"bits_per_byte", score.bits_per_byte()},
               {"scored_bytes", score.scored_bytes}};
  if (!per_token) return json;
  json["ids"] = score.ids;
  Json logprobs = Json::array();
  if (!score.ids.empty()) logprobs.push_back(nullptr);
  for (const float logprob : score.logprobs) logprobs.push_back(logprob);
  json["logprobs"] = std::move(logprobs);
  return json;
}

}  // namespace retrace::model
