#include "core/process/process_spawn.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"
#include "core/text.h"

extern char** environ;

namespace retrace::process_spawn {

namespace {

std::vector<std::string> environment_of(const Options& options) {
  std::map<std::string, std::string> variables;
  if (!options.clear_environment) {
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
      const std::string_view text = *entry;
      const size_t equals = text.find('=');
      if (equals != std::string_view::npos)
        variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  for (const auto& [name, value] : options.environment) variables[name] = value;
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// Found before the fork: afterwards only system calls are safe.
std::string find_program(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  const char* path = std::getenv("PATH");
  for (std::string_view folder : split(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path, ':')) {
    const std::string candidate = (folder.empty() ? "." : std::string(folder)) + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  throw Error(Code::input, fmt::format("the program '{}' is not in PATH", program),
              "install it, or give its path");
}

// In the child, between fork and exec: async-signal-safe calls only. Returns errno.
int become(const char* path, char* const* argv, char* const* environment, const Options& options,
           pid_t parent) {
  ::setpgid(0, 0);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  for (int number = 1; number < NSIG; ++number) {
    if (number == SIGKILL || number == SIGSTOP) continue;
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(number, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int wanted[] = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  for (int fd = 0; fd < 3; ++fd)
    if (wanted[fd] >= 0 && ::dup2(wanted[fd], fd) < 0) return errno;
  if (!options.working_folder.empty() && ::chdir(options.working_folder.c_str()) != 0) return errno;
  ::execve(path, argv, environment);
  return errno;
}

}  // namespace

pid_t spawn(const std::string& program, const std::vector<std::string>& argv, const Options& options) {
  const std::string path = find_program(program);
  const std::vector<std::string> environment = environment_of(options);
  const std::vector<char*> argv_pointers = pointers_to(argv), environment_pointers = pointers_to(environment);
  int failure[2];
  if (::pipe2(failure, O_CLOEXEC) != 0) fail(Code::io, "cannot make a pipe: {}", std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    const int number =
        become(path.c_str(), argv_pointers.data(), environment_pointers.data(), options, parent);
    (void)!::write(failure[1], &number, sizeof number);
    ::_exit(127);
  }
  const int fork_errno = errno;
  ::close(failure[1]);
  if (child < 0) {
    ::close(failure[0]);
    fail(Code::io, "cannot start a process: {}", std::strerror(fork_errno));
  }
  ::setpgid(child, child);
  int number = 0;
  ssize_t got;
  do got = ::read(failure[0], &number, sizeof number);
  while (got < 0 && errno == EINTR);
  ::close(failure[0]);
  if (got == sizeof number) {
    ::waitpid(child, nullptr, 0);
    throw Error(Code::input,
                fmt::format("cannot start {}{}: {}", path,
                            options.working_folder.empty() ? "" : " in " + options.working_folder,
                            std::strerror(number)),
                "", program);
  }
  return child;
}

int exit_descriptor(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

bool has_ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

int ended_status(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return 1;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

int end_group_and_reap(pid_t leader) {
  ::kill(-leader, SIGKILL);
  int wait_status = 0;
  while (::waitpid(leader, &wait_status, 0) < 0 && errno == EINTR) {
  }
  return wait_status;
}

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace retrace::process_spawn
