// What vLLM and SGLang answer when asked for log-probabilities of a prompt's own tokens.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace retrace::model {

enum class ScoreDialect { vllm, sglang };

// Log-probabilities of the last `last` of `ids`, all finite; last < ids.size(). Error{corrupt} where the body
// does not hold exactly them.
std::vector<float> read_score_answer(ScoreDialect dialect, const std::string& body,
                                     const std::vector<data::TokenId>& ids, size_t last);

// Whether each of the last `last` of `ids` is the likeliest at its place, by the ranks that vLLM gives;
// nullopt where the answer has none.
std::optional<bool> read_greedy(ScoreDialect dialect, const std::string& body,
                                const std::vector<data::TokenId>& ids, size_t last);

}  // namespace retrace::model
