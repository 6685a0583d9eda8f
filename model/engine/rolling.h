// Log-probabilities of a text longer than the model's window, by lm-eval's rolling windows: every token is
// predicted once; windows are disjoint in what they predict, with one token of context, and the last one has
// a full context.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/engine/engine.h"
#include "model/lm_eval_rules.h"

namespace retrace::model {

// log p of ids[1], ids[2], ... (nats): ids.size() - 1 values. `progress`, if set, is told of each window's
// tokens.
std::vector<float> rolling_logprobs(Engine& engine, const std::vector<int32_t>& ids, int64_t window,
                                    const std::function<void(int64_t tokens)>& progress = {});

}  // namespace retrace::model
