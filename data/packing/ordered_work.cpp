#include "data/packing/ordered_work.h"

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/error.h"

namespace retrace::data {
namespace {

class Runner {
 public:
  Runner(size_t slots, const OrderedWork& job) : job_(job), slots_(slots) {}
  ~Runner() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    waiting_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void start(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { help(); });
  }

  // What is done is used first, so that places come free; then the others are kept busy; then we work
  // ourselves.
  void run() {
    std::unique_lock lock(mutex_);
    for (bool more = true; more || used_ < made_;) {
      if (used_ < made_ && slot(used_).done) {
        Slot& oldest = slot(used_);
        lock.unlock();
        if (oldest.failure) std::rethrow_exception(oldest.failure);
        job_.use(used_ % slots_.size());
        lock.lock();
        oldest.done = false;
        ++used_;
      } else if (more && made_ - used_ < slots_.size()) {
        lock.unlock();
        more = job_.make(made_ % slots_.size());
        lock.lock();
        if (more) ++made_;
        if (more) waiting_.notify_one();
      } else if (taken_ < made_) {
        work_on_next(lock);
      } else if (used_ < made_) {
        done_.wait(lock, [&] { return slot(used_).done; });
      }
    }
  }

 private:
  struct Slot {
    bool done = false;
    std::exception_ptr failure;
  };
  Slot& slot(uint64_t item) { return slots_[item % slots_.size()]; }

  void work_on_next(std::unique_lock<std::mutex>& lock) {
    const uint64_t item = taken_++;
    lock.unlock();
    std::exception_ptr failure;
    try {
      job_.work(item % slots_.size());
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    slot(item) = {true, failure};
    done_.notify_one();
  }

  void help() {
    std::unique_lock lock(mutex_);
    for (;;) {
      waiting_.wait(lock, [&] { return closed_ || taken_ < made_; });
      if (closed_) return;
      work_on_next(lock);
    }
  }

  const OrderedWork& job_;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable waiting_, done_;
  uint64_t made_ = 0, taken_ = 0, used_ = 0;  // items so far
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

void run_in_order(int threads, size_t slots, const OrderedWork& job) {
  ensure(threads > 0 && slots > 0, "work in order has a thread and a place");
  Runner runner(slots, job);
  runner.start(threads - 1);
  runner.run();
}

}  // namespace retrace::data
