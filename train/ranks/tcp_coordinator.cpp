#include "train/ranks/tcp_coordinator.h"

#include <c10/util/Logging.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/error.h"
#include "core/poll.h"
#include "core/text.h"

namespace retrace::train {
namespace {

// A stored value is "NONCE|TEXT": never empty, and no two writes are alike, so that compareSet's answer (the
// value that then stands there) says whose write it was.
class TcpCoordinator final : public Coordinator {
 public:
  TcpCoordinator(std::shared_ptr<c10d::Store> store, std::string prefix, int rank)
      : store_(std::move(store)), prefix_(std::move(prefix)), rank_(rank) {}

  std::optional<std::string> get(const std::string& key) override {
    const auto raw = raw_value(key);
    if (!raw) return std::nullopt;
    return text_of(*raw, key);
  }

  void set(const std::string& key, const std::string& value) override {
    // The store does not answer a set. A question behind it on the same connection is answered after it was
    // done, so that whoever hears of the set by another way finds the value.
    guarded(key, [&] {
      store_->set(prefix_ + key, stamped(value));
      return store_->check({prefix_ + key});
    });
  }

  bool compare_and_set(const std::string& key, const std::optional<std::string>& expected,
                       const std::string& desired) override {
    const std::string written = stamped(desired);
    for (;;) {
      const auto raw = raw_value(key);
      if (raw.has_value() != expected.has_value()) return false;
      if (raw && text_of(*raw, key) != *expected) return false;
      const std::string answer =
          guarded(key, [&] { return store_->compareSet(prefix_ + key, raw.value_or(""), written); });
      if (answer == written) return true;
    }
  }

  std::string wait(const std::string& key, double timeout_s) override {
    if (auto value = poll_until({.timeout_s = timeout_s}, [&] { return get(key); })) return *value;
    throw Error(Code::distributed, fmt::format("no rank set '{}' within {} s", key, timeout_s),
                "look at the other ranks' messages, or raise run.timeout_s", fmt::format("rank {}", rank_));
  }

  bool lease(const std::string& key, const std::string& holder, double ttl_s) override {
    const auto raw = raw_value(key);
    if (raw && !may_take(*raw, key, holder)) return false;
    const std::string written = stamped(fmt::format("{}|{}", static_cast<int64_t>(ttl_s * 1000), holder));
    // Against the stamped value: a renewal by its holder since then makes this fail.
    return guarded(key, [&] { return store_->compareSet(prefix_ + key, raw.value_or(""), written); }) ==
           written;
  }

  void release(const std::string& key, const std::string& holder) override {
    const auto current = get(key);
    if (!current || lease_of(*current, key).second != holder) return;
    compare_and_set(key, current, "0|");
  }

 private:
  // Another's lease is over once this rank has seen it unrenewed for its time to live.
  bool may_take(const std::string& raw, const std::string& key, const std::string& holder) {
    const auto [ttl_ms, owner] = lease_of(text_of(raw, key), key);
    const std::lock_guard lock(mutex_);
    if (owner.empty() || owner == holder) {
      seen_.erase(key);
      return true;
    }
    auto& [value, since] = seen_[key];
    if (value != raw) {
      value = raw;
      since = Clock::now();
    }
    return Clock::now() - since >= std::chrono::milliseconds(ttl_ms);
  }

  template <class Work>
  auto guarded(const std::string& key, Work work) -> decltype(work()) {
    try {
      return work();
    } catch (const std::exception& problem) {
      throw Error(Code::distributed,
                  fmt::format("rank 0, or the launcher that serves the job's store, is gone ('{}': {})", key,
                              c10d_message(problem.what())),
                  "start again: training resumes from the newest checkpoint", fmt::format("rank {}", rank_));
    }
  }

  std::optional<std::string> raw_value(const std::string& key) {
    return guarded(key, [&]() -> std::optional<std::string> {
      if (!store_->check({prefix_ + key})) return std::nullopt;
      return store_->get_to_str(prefix_ + key);
    });
  }

  std::string stamped(const std::string& value) { return fmt::format("{}.{}|{}", rank_, ++writes_, value); }

  static std::string text_of(const std::string& raw, const std::string& key) {
    const size_t bar = raw.find('|');
    if (bar == std::string::npos)
      fail(Code::distributed, "key '{}' was not written by a rank of this program", key);
    return raw.substr(bar + 1);
  }

  static std::pair<int64_t, std::string> lease_of(const std::string& text, const std::string& key) {
    const size_t bar = text.find('|');
    int64_t ttl_ms = 0;
    const char* end = text.data() + (bar == std::string::npos ? 0 : bar);
    const auto [stop, problem] = std::from_chars(text.data(), end, ttl_ms);
    if (bar == std::string::npos || problem != std::errc() || stop != end)
      fail(Code::distributed, "key '{}' is not a lease", key);
    return {ttl_ms, text.substr(bar + 1)};
  }

  std::shared_ptr<c10d::Store> store_;
  std::string prefix_;
  int rank_;
  std::atomic<int64_t> writes_ = 0;
  std::mutex mutex_;
  std::map<std::string, std::pair<std::string, Clock::time_point>> seen_;  // leases of others
};

}  // namespace

namespace {

constexpr double kAnswerGrace_s = 1;  // c10d's own time-out, which ends waits for a connection, comes first

// c10d waits for ever where a program that is no store takes the connection: its thread is then left behind.
std::shared_ptr<c10d::Store> within(double timeout_s, std::function<std::shared_ptr<c10d::Store>()> open) {
  const auto answer = std::make_shared<std::promise<std::shared_ptr<c10d::Store>>>();
  auto opened = answer->get_future();
  std::thread([answer, open = std::move(open)] {
    try {
      answer->set_value(open());
    } catch (...) {
      answer->set_exception(std::current_exception());
    }
  }).detach();
  if (opened.wait_for(std::chrono::duration<double>(timeout_s)) != std::future_status::ready)
    throw std::runtime_error("what listens there is no store");
  return opened.get();
}

}  // namespace

// c10d appends stack traces to its messages, on the same line too.
std::string c10d_message(const std::string& text) {
  return first_line(text.substr(0, text.find(" Exception raised from")));
}

std::shared_ptr<c10d::Store> connect_store(const StoreAddress& address) {
  // What c10d logs, stack traces included, arrives as an exception too.
  if (!std::getenv("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(address.port);
  options.isServer = address.serve;
  options.waitWorkers = false;
  options.timeout = std::chrono::milliseconds(static_cast<int64_t>(address.timeout_s * 1000));
  const auto open = [host = address.host, options]() -> std::shared_ptr<c10d::Store> {
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    c10d::TCPStore* raw = store.get();
    return {raw, [store](c10d::Store*) mutable { store.reset(); }};
  };
  try {
    return address.serve ? open() : within(address.timeout_s + kAnswerGrace_s, open);
  } catch (const std::exception& problem) {
    throw Error(Code::distributed,
                fmt::format("cannot {} the job's store at {}:{}: {}", address.serve ? "serve" : "reach",
                            address.host, address.port, c10d_message(problem.what())),
                "check MASTER_ADDR and MASTER_PORT, and that no other job uses this port");
  }
}

std::unique_ptr<Coordinator> make_tcp_coordinator(std::shared_ptr<c10d::Store> store, std::string prefix,
                                                  int rank) {
  return std::make_unique<TcpCoordinator>(std::move(store), std::move(prefix), rank);
}

}  // namespace retrace::train
