#include "core/process/background_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"
#include "core/poll.h"
#include "core/process/process_spawn.h"

namespace retrace {

namespace {

// The shell leads the group. A second one waits on a pipe that this process holds open: at its end, whoever
// closed it, the group is killed. The program itself gets no standard input.
constexpr const char* kScript =
    "exec 3<&0 </dev/null\n"
    "( trap '' TERM INT HUP; read -r nothing <&3; kill -KILL 0 ) &\n"
    "eval \"$1\" 3<&- &\n"
    "program=$!\n"
    "trap 'wait \"$program\"; exit $?' TERM\n"
    "wait \"$program\"\n";

}  // namespace

BackgroundProcess::BackgroundProcess(const std::string& command, const std::string& log,
                                     const std::map<std::string, std::string>& environment) {
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (out < 0) throw Error(Code::io, fmt::format("cannot write the log: {}", std::strerror(errno)), "", log);
  int lifeline[2];
  if (::pipe2(lifeline, O_CLOEXEC) != 0) {
    const int problem = errno;
    ::close(out);
    fail(Code::io, "cannot make a pipe: {}", std::strerror(problem));
  }
  process_spawn::Options options;
  options.environment = environment;
  options.stdin_fd = lifeline[0];
  options.stdout_fd = options.stderr_fd = out;
  try {
    pid_ = process_spawn::spawn("/bin/sh", {"sh", "-c", kScript, "sh", command}, options);
  } catch (...) {
    for (int fd : {out, lifeline[0], lifeline[1]}) ::close(fd);
    throw;
  }
  ::close(out);
  ::close(lifeline[0]);
  lifeline_ = lifeline[1];
}

BackgroundProcess::~BackgroundProcess() {
  stop(0);
}

std::optional<int> BackgroundProcess::ended() const {
  if (pid_ == 0 || !process_spawn::has_ended(pid_)) return std::nullopt;
  return process_spawn::ended_status(pid_);
}

void BackgroundProcess::stop(double grace_s) {
  if (pid_ == 0) return;
  constexpr double kLookPeriod_s = 0.02;
  if (grace_s > 0) ::kill(-pid_, SIGTERM);
  poll_until({grace_s, kLookPeriod_s, kLookPeriod_s}, [&] { return process_spawn::has_ended(pid_); });
  process_spawn::end_group_and_reap(pid_);
  ::close(lifeline_);
  pid_ = 0;
}

}  // namespace retrace
