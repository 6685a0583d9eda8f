// Perplexity of a file's bytes under a model: what `retrace score` prints and eval's perplexity task records.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "data/tokenizer/tokenizer.h"
#include "model/engine/engine.h"

namespace retrace::model {

struct TextScore {
  std::vector<int32_t> ids;     // as the model saw them, BOS in front if the tokenizer has one
  std::vector<float> logprobs;  // of ids[1], ids[2], ...: the first id is context only
  double nll = 0;               // nats, summed over logprobs
  uint64_t scored_bytes = 0;    // of the text; without BOS the first token's bytes are not scored

  double perplexity() const;     // a token; NaN if nothing was scored
  double bits_per_byte() const;  // NaN if nothing was scored
};

// window 0 = the model's max_position_embeddings. Error{input} if the tokenizer has ids that the model lacks.
TextScore score_text(Engine& engine, const data::Tokenizer& tokenizer, std::string_view bytes, int64_t window,
                     const std::function<void(int64_t tokens)>& progress = {});

// {"tokens", "nll", "ppl", "bits_per_byte", "scored_bytes"}, null where nothing was scored; per_token adds
// "ids" and "logprobs" of equal length, with null for the first.
Json to_json(const TextScore& score, bool per_token);

}  // namespace retrace::model
