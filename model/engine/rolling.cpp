#include "model/engine/rolling.h"

#include <algorithm>

#include "core/error.h"

namespace retrace::model {

std::vector<RollingWindow> rolling_windows(int64_t num_ids, int64_t window) {
  if (window < 1) fail(Code::usage, "a window of {} tokens reads nothing", window);
  std::vector<RollingWindow> windows;
  for (int64_t from = 1; from < num_ids;) {
    const int64_t end = std::min(num_ids, from + window);
    windows.push_back({from == 1 ? 0 : end - 1 - window, from, end});
    from = end;
  }
  return windows;
}

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
