#include "train/step/prefetch.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "core/clock.h"
#include "core/error.h"

namespace retrace::train {

struct Prefetch::State {
  const BatchSource& source;
  int64_t first, last;
  size_t ahead;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<StepBatch> ready;
  std::exception_ptr problem;
  bool stopping = false;
  std::thread thread;

  void run() {
    try {
      for (int64_t step = first; step < last; ++step) {
        StepBatch batch = source.make(step);
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stopping || ready.size() < ahead; });
        if (stopping) return;
        ready.push_back(std::move(batch));
        changed.notify_all();
      }
    } catch (...) {
      std::lock_guard lock(mutex);
      problem = std::current_exception();
      changed.notify_all();
    }
  }
};

Prefetch::Prefetch(const BatchSource& source, int64_t first, int64_t last, int ahead)
    : state_(new State{source, first, last, static_cast<size_t>(ahead), {}, {}, {}, {}, false, {}}) {
  state_->thread = std::thread([this] { state_->run(); });
}

Prefetch::~Prefetch() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

StepBatch Prefetch::next() {
  const auto start = Clock::now();
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return !state_->ready.empty() || state_->problem; });
  wait_s_ += elapsed_s(start);
  if (state_->ready.empty()) std::rethrow_exception(state_->problem);
  StepBatch batch = std::move(state_->ready.front());
  state_->ready.pop_front();
  state_->changed.notify_all();
  return batch;
}

}  // namespace retrace::train
