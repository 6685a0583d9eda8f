#include "core/process/signals.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

#include "core/error.h"

namespace retrace {

namespace {

static_assert(std::atomic<int>::is_always_lock_free, "signal handlers need lock-free flags");
std::atomic<int> stop{0};
std::atomic<int> save{0};

void on_stop(int number) {
  if (number == SIGINT && stop.load() == SIGINT) ::_exit(130);
  int none = 0;
  if (!stop.compare_exchange_strong(none, number) && number == SIGINT) stop.store(SIGINT);
}

void on_save(int) {
  save.store(1);
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ensure(::sigaction(number, &action, nullptr) == 0, "a signal handler can be installed");
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_stop);
  handle(SIGTERM, on_stop);
  handle(SIGUSR1, on_save);
}

int stop_signal() {
  return stop.load(std::memory_order_relaxed);
}

bool take_save_request() {
  return save.load(std::memory_order_relaxed) != 0 && save.exchange(0) != 0;
}

void request_save() {
  save.store(1);
}

void throw_if_stopped() {
  const int number = stop_signal();
  if (number == 0) return;
  Error error(Code::interrupted, fmt::format("interrupted by {}", number == SIGINT ? "SIGINT" : "SIGTERM"),
              "the same command continues where it stopped");
  error.signal = number;
  throw error;
}

void die_with_parent() {
  const pid_t parent = ::getppid();
  ensure(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "the kernel knows PR_SET_PDEATHSIG");
  const char* launcher = std::getenv("RETRACE_LAUNCHER_PID");
  const bool orphan = launcher != nullptr && std::strtol(launcher, nullptr, 10) != ::getppid();
  if (orphan || ::getppid() != parent) ::raise(SIGKILL);
}

}  // namespace retrace
