#include "core/ranks/coordinator.h"

#include <condition_variable>
#include <map>
#include <mutex>

#include "core/clock.h"
#include "core/error.h"

namespace retrace {

namespace {

class InProcessCoordinator : public Coordinator {
 public:
  std::optional<std::string> get(const std::string& key) override {
    std::lock_guard lock(mutex_);
    const auto found = values_.find(key);
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }

  void set(const std::string& key, const std::string& value) override {
    {
      std::lock_guard lock(mutex_);
      values_[key] = value;
    }
    changed_.notify_all();
  }

  bool compare_and_set(const std::string& key, const std::optional<std::string>& expected,
                       const std::string& desired) override {
    {
      std::lock_guard lock(mutex_);
      const auto found = values_.find(key);
      const bool same = found == values_.end() ? !expected : expected && *expected == found->second;
      if (!same) return false;
      values_[key] = desired;
    }
    changed_.notify_all();
    return true;
  }

  std::string wait(const std::string& key, double timeout_s) override {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return values_.count(key) > 0; };
    if (!changed_.wait_for(lock, std::chrono::duration<double>(timeout_s), there))
      fail(Code::distributed, "waited {:.1f} s for the key '{}' in vain", timeout_s, key);
    return values_[key];
  }

  bool lease(const std::string& key, const std::string& holder, double ttl_s) override {
    std::lock_guard lock(mutex_);
    Lease& lease = leases_[key];
    const Clock::time_point now = Clock::now();
    if (lease.holder != holder && now < lease.end) return false;
    lease = {holder, now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(ttl_s))};
    return true;
  }

  void release(const std::string& key, const std::string& holder) override {
    std::lock_guard lock(mutex_);
    const auto found = leases_.find(key);
    if (found != leases_.end() && found->second.holder == holder) leases_.erase(found);
  }

 private:
  struct Lease {
    std::string holder;
    Clock::time_point end{};
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> values_;
  std::map<std::string, Lease> leases_;
};

}  // namespace

std::unique_ptr<Coordinator> make_in_process_coordinator() {
  return std::make_unique<InProcessCoordinator>();
}

}  // namespace retrace
