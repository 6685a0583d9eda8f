#include "train/ranks/watchdog.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "core/cli/launcher_error.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "train/ranks/last_words.h"
#include "train/ranks/tcp_coordinator.h"

namespace retrace::train {
namespace {

constexpr double kHeartbeat_s = 0.25;
constexpr double kGrace_s = 0.4;  // for a rank that fails by itself for the same reason
constexpr const char* kNothing = "-";

std::string text_of(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace

struct Watchdog::State {
  std::shared_ptr<c10d::Store> store;
  std::string prefix;
  int rank = 0, size = 1;
  double timeout_s = 0;
  bool launcher_serves = false;

  std::vector<int> watched;
  std::vector<std::string> last;            // last heartbeat of each watched rank
  std::vector<Clock::time_point> moved_at;  // when it last changed

  std::atomic<int64_t> step = -1, leaving = std::numeric_limits<int64_t>::max();
  std::atomic<const char*> phase = "start";
  std::atomic<bool> closing = false;
  std::atomic<int64_t> heartbeats = 0;
  std::atomic<double> last_heartbeat_s = 0;
  Clock::time_point born = Clock::now();

  std::mutex mutex;
  std::string first_rank = "rank 0";  // and what it last did
  std::condition_variable wake;
  bool stopping = false;
  std::thread heartbeat_thread, monitor_thread;

  std::string heartbeat_key(int r) const { return fmt::format("{}heart/{}", prefix, r); }
  std::string failed_key() const { return prefix + "failed"; }
  std::string leaving_key() const { return prefix + "leaving"; }

  void send_heartbeat() {
    const int64_t at = step;  // none has begun below 0
    store->set(heartbeat_key(rank), fmt::format("{} (step {}, {})", ++heartbeats,
                                                at < 0 ? "none" : std::to_string(at), phase.load()));
  }

  bool rest(double seconds) {
    std::unique_lock lock(mutex);
    return wake.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return stopping; });
  }

  static std::string named(int r, const std::string& heartbeat) {
    const size_t space = heartbeat.find(' ');
    return fmt::format("rank {}{}", r, space == std::string::npos ? "" : heartbeat.substr(space));
  }

  std::string server() {
    std::lock_guard lock(mutex);
    return (launcher_serves ? "the launcher beside " : "") + first_rank + ", which serves the job's store";
  }

  void end_process(const std::string& message) {
    if (rest(kGrace_s) || closing) return;
    log_line(Level::error, message);
    write_last_words(message);
    write_launcher_error(message, exit_status(Code::distributed));
    std::fflush(nullptr);
    ::_exit(exit_status(Code::distributed));
  }

  void look_at_peers() {
    std::vector<std::string> keys = {failed_key(), leaving_key()};
    for (int r : watched) keys.push_back(heartbeat_key(r));
    const auto values = store->multiGet(keys);
    if (const std::string failed = text_of(values[0]); failed != kNothing) end_process(failed);
    if (const std::string gone = text_of(values[1]); gone != kNothing) leaving = std::stoll(gone);
    for (size_t i = 0; i < watched.size(); ++i) {
      std::string now = text_of(values[i + 2]);
      if (now != last[i]) {
        last[i] = std::move(now);
        moved_at[i] = Clock::now();
        std::lock_guard lock(mutex);
        if (watched[i] == 0) first_rank = named(0, last[i]);
      } else if (elapsed_s(moved_at[i]) > timeout_s) {
        const std::string message =
            fmt::format("{} has not answered for {} s; the job ends", named(watched[i], last[i]), timeout_s);
        publish(message);
        end_process(message);
      }
    }
  }

  void publish(const std::string& message) { store->compareSet(failed_key(), kNothing, message); }

  void heartbeat_loop() {
    while (!rest(kHeartbeat_s)) {
      try {
        send_heartbeat();
        look_at_peers();
        last_heartbeat_s = elapsed_s(born);
      } catch (const std::exception&) {
        end_process(server() + ", has ended");
        return;
      }
    }
  }

  void monitor_loop() {
    while (!rest(kHeartbeat_s)) {
      if (elapsed_s(born) - last_heartbeat_s > timeout_s + 1)
        end_process(fmt::format("{}, has not answered for {} s; the job ends", server(), timeout_s));
    }
  }
};

Watchdog::Watchdog(std::shared_ptr<c10d::Store> store, const std::string& prefix, int rank, int size,
                   double timeout_s, bool launcher_serves)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.store = std::move(store);
  s.prefix = prefix;
  s.rank = rank;
  s.size = size;
  s.timeout_s = timeout_s;
  s.launcher_serves = launcher_serves;
  for (int r = 0; r < size; ++r)
    if (r != rank && (rank == 0 || r == 0)) s.watched.push_back(r);
  s.last.resize(s.watched.size());
  try {
    if (rank == 0) {
      s.store->set(s.failed_key(), std::string(kNothing));
      s.store->set(s.leaving_key(), std::string(kNothing));
    }
    s.send_heartbeat();
    std::vector<std::string> keys = {s.failed_key(), s.leaving_key()};
    for (int r : s.watched) keys.push_back(s.heartbeat_key(r));
    s.store->wait(keys, std::chrono::milliseconds(static_cast<int64_t>(timeout_s * 1000)));
  } catch (const std::exception&) {
    std::string missing;
    for (int r : s.watched) {
      bool here = false;
      try {
        here = s.store->check({s.heartbeat_key(r)});
      } catch (const std::exception&) {
        missing = " (the store does not answer)";
      }
      if (!here) missing += fmt::format(" {}", r);
    }
    throw Error(Code::distributed, fmt::format("ranks that did not join within {} s:{}", timeout_s, missing),
                "look at their messages", fmt::format("rank {}", rank));
  }
  s.moved_at.assign(s.watched.size(), Clock::now());
  s.last_heartbeat_s = elapsed_s(s.born);
  s.heartbeat_thread = std::thread([&s] { s.heartbeat_loop(); });
  if (rank != 0) s.monitor_thread = std::thread([&s] { s.monitor_loop(); });
}

Watchdog::~Watchdog() {
  stop();
}

void Watchdog::activity(int64_t step, const char* phase) {
  state_->step = step;
  state_->phase = phase;
}

void Watchdog::announce_leaving(int64_t step) {
  State& s = *state_;
  s.leaving = std::min<int64_t>(s.leaving, step);
  try {
    s.store->compareSet(s.leaving_key(), kNothing, std::to_string(step));
  } catch (const std::exception& problem) {
    warn("cannot tell the other ranks that this one leaves: {}", c10d_message(problem.what()));
  }
}

int64_t Watchdog::leaving_step() const {
  return state_->leaving;
}

void Watchdog::report_failure(const std::string& message) {
  State& s = *state_;
  s.closing = true;
  try {
    s.publish(fmt::format("rank {} failed: {}", s.rank, message));
  } catch (const std::exception&) {
    debug("the store is gone; the other ranks will see that for themselves");
  }
}

std::vector<std::string> Watchdog::silent_ranks() {
  State& s = *state_;
  std::vector<std::string> keys, silent;
  for (int r = 0; r < s.size; ++r) keys.push_back(s.heartbeat_key(r));
  try {
    const auto before = s.store->multiGet(keys);
    sleep_s(5 * kHeartbeat_s);
    const auto after = s.store->multiGet(keys);
    for (int r = 0; r < s.size; ++r) {
      const auto i = static_cast<size_t>(r);
      if (r != s.rank && before[i] == after[i]) silent.push_back(State::named(r, text_of(after[i])));
    }
  } catch (const std::exception&) {
    return {s.server()};
  }
  return silent;
}

void Watchdog::stop() {
  State& s = *state_;
  {
    std::lock_guard lock(s.mutex);
    s.stopping = true;
  }
  s.closing = true;
  s.wake.notify_all();
  if (s.heartbeat_thread.joinable()) s.heartbeat_thread.join();
  if (s.monitor_thread.joinable()) s.monitor_thread.join();
}

}  // namespace retrace::train
