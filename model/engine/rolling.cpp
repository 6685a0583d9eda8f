#include "model/engine/rolling.h"

#include "core/error.h"

namespace retrace::model {

std::vector<float> rolling_logprobs(Engine& engine, const std::vector<int32_t>& ids, int64_t window,
                                    const std::function<void(int64_t tokens)>& progress) {
  std::vector<float> result;
  for (const RollingWindow& w : rolling_windows(static_cast<int64_t>(ids.size()), window)) {
    const std::vector<int32_t> part(ids.begin() + w.begin, ids.begin() + w.end);
    const std::vector<float> logprobs = engine.logprobs(part, w.from - w.begin);
    ensure(static_cast<int64_t>(logprobs.size()) == w.end - w.from,
           "an engine gives a value for each id asked for");
    result.insert(result.end(), logprobs.begin(), logprobs.end());
    if (progress) progress(w.end - w.from);
  }
  return result;
}

}  // namespace retrace::model
