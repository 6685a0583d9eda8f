// `--nproc N`: the ranks of one machine, started, watched and ended together.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <random>
#include <thread>

#include "core/error.h"
#include "core/log.h"
#include "core/process/process.h"
#include "core/process/process_spawn.h"
#include "core/process/signals.h"

namespace retrace {

namespace {

using Clock = std::chrono::steady_clock;

// Signals meant for the ranks wait here until the launcher asks for them.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGCHLD}) sigaddset(&held_, number);
    ::pthread_sigmask(SIG_BLOCK, &held_, &old_);
  }
  ~HeldSignals() { ::pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // The next signal but SIGCHLD, or 0 after a while or at a SIGCHLD.
  int next() const {
    constexpr timespec kWait{0, 50'000'000};
    const int number = ::sigtimedwait(&held_, nullptr, &kWait);
    return number <= 0 || number == SIGCHLD ? 0 : number;
  }

 private:
  sigset_t held_{}, old_{};
};

struct Rank {
  pid_t pid = 0;
  bool running = true;
  int status = 0;  // as a shell says it: 128 + signal
};

class Launch {
 public:
  explicit Launch(double grace_s) : grace_s_(grace_s) {}

  ~Launch() {  // after an exception: no rank is left
    for (Rank& rank : ranks_)
      if (rank.running) process_spawn::end_group_and_reap(rank.pid);
  }

  void start(const std::string& program, const std::vector<std::string>& argv, int nproc) {
    std::random_device device;
    process_spawn::Options options;
    options.environment["RETRACE_LAUNCHER"] = "1";
    options.environment["RETRACE_LAUNCHER_PID"] = std::to_string(::getpid());
    options.environment["RETRACE_LAUNCH_ID"] = fmt::format("{:08x}{:08x}", device(), device());
    options.environment["MASTER_ADDR"] = "127.0.0.1";
    options.environment["MASTER_PORT"] = std::to_string(free_port());
    options.environment["WORLD_SIZE"] = options.environment["LOCAL_WORLD_SIZE"] = std::to_string(nproc);
    if (std::getenv("OMP_NUM_THREADS") == nullptr) {
      const unsigned cores = std::thread::hardware_concurrency();
      options.environment["OMP_NUM_THREADS"] =
          std::to_string(std::max(1U, cores / static_cast<unsigned>(nproc)));
    }
    for (int i = 0; i < nproc; ++i) {
      options.environment["RANK"] = options.environment["LOCAL_RANK"] = std::to_string(i);
      ranks_.push_back({process_spawn::spawn(program, argv, options)});
    }
  }

  int watch(const HeldSignals& signals) {
    while (true) {
      collect();
      if (running() == 0) return exit_status();
      if (first_failed_ && !stop_deadline_) stop_all();
      if (stop_deadline_ && Clock::now() >= *stop_deadline_) signal_all(SIGKILL);
      if (const int number = signals.next(); number != 0) forward(number);
    }
  }

 private:
  size_t running() const {
    size_t count = 0;
    for (const Rank& rank : ranks_) count += rank.running ? 1 : 0;
    return count;
  }

  void signal_all(int number) const {
    for (const Rank& rank : ranks_) {
      if (!rank.running) continue;
      // A rank that was frozen must go on to be able to hear anything but SIGKILL.
      ::kill(rank.pid, number);
      if (number != SIGUSR1) ::kill(rank.pid, SIGCONT);
    }
  }

  void forward(int number) {
    if (number == SIGHUP || number == SIGQUIT) number = SIGTERM;
    debug("passing signal {} on to {} ranks", number, running());
    stopped_by_user_ = stopped_by_user_ || number != SIGUSR1;
    signal_all(number);
  }

  // A moment first: a rank that only lost its peer may have ended before the one with the cause.
  void stop_all() {
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
    collect();
    const auto grace = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(grace_s_));
    stop_deadline_ = Clock::now() + grace;
    told_to_stop_ = true;
    signal_all(SIGTERM);
  }

  void collect() {
    for (size_t i = 0; i < ranks_.size(); ++i) {
      Rank& rank = ranks_[i];
      if (!rank.running || !process_spawn::has_ended(rank.pid)) continue;
      const int wait_status = process_spawn::end_group_and_reap(rank.pid);
      rank.running = false;
      rank.status = process_spawn::status_of(wait_status);
      if (rank.status == 0) continue;
      if (WIFSIGNALED(wait_status) && !told_to_stop_)
        log_line(Level::error, fmt::format("rank {} (process {}) was killed by signal {} ({})", i, rank.pid,
                                           WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status))));
      else if (!told_to_stop_ && !stopped_by_user_)
        log_line(Level::error, fmt::format("rank {} ended with status {}", i, rank.status));
      if (!first_failed_) first_failed_ = i;
      if (cause_ < 0 || (cause_ == kTryAgain && !told_to_stop_)) cause_ = mapped(rank.status);
    }
  }

  static int mapped(int status) {
    if (status == 128 + SIGKILL) return kTryAgain;
    if (status == 128 + SIGINT || status == 128 + SIGTERM || status <= 128) return status;
    return 1;  // a crash
  }

  int exit_status() const { return std::max(cause_, 0); }

  static constexpr int kTryAgain = 75;
  double grace_s_;
  std::vector<Rank> ranks_;
  std::optional<size_t> first_failed_;
  std::optional<Clock::time_point> stop_deadline_;
  bool told_to_stop_ = false, stopped_by_user_ = false;
  int cause_ = -1;  // exit status of the rank that failed first, but rather not 75
};

}  // namespace

int launch_ranks(const std::vector<std::string>& argv, int nproc, double grace_s,
                 const std::string& program) {
  ensure(nproc > 0 && !argv.empty(), "a launch has ranks and a command");
  const HeldSignals signals;
  Launch launch(grace_s);
  launch.start(program.empty() ? self_path() : program, argv, nproc);
  return launch.watch(signals);
}

}  // namespace retrace
