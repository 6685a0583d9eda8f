// Log-probabilities of a text longer than the model's window, by lm-eval's rolling windows: every token is
// predicted once; windows are disjoint in what they predict, with one token of context, and the last one has
// a full context.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/engine/engine.h"

namespace retrace::model {

// The model reads ids [begin, end - 1) and predicts ids [from, end).
struct RollingWindow {
  int64_t begin, from, end;
};

// Windows over `num_ids` ids, of which the first is context only (BOS, or a first token that is not scored).
// The model reads at most `window` >= 1 ids at once.
std::vector<RollingWindow> rolling_windows(int64_t num_ids, int64_t window);

// log p of ids[1], ids[2], ... (nats): ids.size() - 1 values. `progress`, if set, is told of each window's
// tokens.
std::vector<float> rolling_logprobs(Engine& engine, const std::vector<int32_t>& ids, int64_t window,
                                    const std::function<void(int64_t tokens)>& progress = {});

}  // namespace retrace::model
