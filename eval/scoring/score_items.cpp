#include "eval/scoring/score_items.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "core/log.h"
#include "core/process/signals.h"

namespace retrace::eval {

void score_items(const EvalTask& task, const Sandbox* sandbox, int64_t workers, ScoredTask& scored) {
  const size_t n = scored.items.size();
  scored.scores.assign(n, {});
  Progress progress("scoring " + scored.id, n, "items");
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  auto work = [&] {
    try {
      for (size_t i; (i = next++) < n;) {
        throw_if_stopped();
        if (!scored.answers[i].empty())
          scored.scores[i] = task.score(scored.items[i], scored.answers[i], sandbox);
        progress.add();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = n;
    }
  };
  const size_t wanted =
      workers > 0 ? static_cast<size_t>(workers) : std::max(1u, std::thread::hardware_concurrency());
  const size_t count = task.spec().runs_code ? std::min(n, wanted) : 1;
  std::vector<std::thread> threads;
  for (size_t i = 1; i < count; ++i) threads.emplace_back(work);
  work();
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  for (size_t i = 0; i < n; ++i) {
    const std::string item = fmt::format("{} {}", scored.id, scored.items[i].doc_id);
    if (scored.scores[i].empty()) {
      scored.without_result.push_back(item + ": no prediction");
    } else if (!scored.scores[i][0].graded) {
      scored.without_result.push_back(item + ": " + to_text(scored.scores[i][0].extra));
    }
  }
}

}  // namespace retrace::eval
