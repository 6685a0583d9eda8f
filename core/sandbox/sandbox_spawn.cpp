#include "core/sandbox/sandbox_spawn.h"

#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"

namespace retrace {
namespace {

constexpr unsigned kNobody = 65534;
constexpr int kFirstSafeDescriptor = 100;  // above every number that a child asks for
constexpr int kCannotStart = 127;

using Clock = std::chrono::steady_clock;

// What the child needs, made before fork: after it only async-signal-safe calls are allowed.
struct Prepared {
  std::vector<char*> argv, environment;
  std::vector<std::pair<int, int>> descriptors;
  const char* folder;
  bool drop_root;
  pid_t parent;
};

[[noreturn]] void child_fails(const char* what) {
  const char* reason = std::strerror(errno);
  for (const char* text : {"cannot start the program: ", what, ": ", reason, "\n"})
    if (write(2, text, std::strlen(text)) < 0) break;
  _exit(kCannotStart);
}

[[noreturn]] void become(const Prepared& plan) {
  int last = 2;
  for (const auto& [ours, number] : plan.descriptors) last = std::max(last, number);
  int high[16];
  size_t count = 0;
  for (const auto& [ours, number] : plan.descriptors) {
    high[count] = fcntl(ours, F_DUPFD, kFirstSafeDescriptor);
    if (high[count++] < 0) child_fails("dup");
  }
  // Numbers that the child did not ask for are closed, so that nothing of this process leaks in.
  for (int number = 3; number <= last; ++number) close(number);
  count = 0;
  for (const auto& [ours, number] : plan.descriptors)
    if (dup2(high[count++], number) < 0) child_fails("dup2");
  close_range(static_cast<unsigned>(last) + 1, ~0u, 0);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  if (chdir(plan.folder) != 0) child_fails("chdir");
  if (plan.drop_root && (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
                         setresuid(kNobody, kNobody, kNobody) != 0))
    child_fails("becoming another user");
  // After the change of user, which clears it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(kCannotStart);
  execve(plan.argv[0], plan.argv.data(), plan.environment.data());
  child_fails(plan.argv[0]);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

class Child {
 public:
  Child(SpawnPlan& plan, int null_device) {
    if (plan.own_folder) {
      folder_ = (fs::temp_directory_path() / "retrace-program-XXXXXX").string();
      if (!mkdtemp(folder_.data()))
        fail(Code::io, "cannot make a temporary folder: {}", std::strerror(errno));
      for (auto& variable : plan.environment)
        for (const std::string name : {"HOME=", "TMPDIR="})
          if (variable.starts_with(name)) variable = name + folder_;
    }
    auto [read_end, write_end] = make_pipe();
    fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
    Prepared prepared{pointers(plan.argv),
                      pointers(plan.environment),
                      {},
                      plan.own_folder ? folder_.c_str() : "/",
                      plan.drop_root,
                      getpid()};
    for (const auto& [ours, number] : plan.descriptors) prepared.descriptors.emplace_back(ours.get(), number);
    prepared.descriptors.emplace_back(null_device, 0);
    prepared.descriptors.emplace_back(write_end.get(), 1);
    prepared.descriptors.emplace_back(write_end.get(), 2);
    ensure(prepared.descriptors.size() <= 16, "at most 16 descriptors a program");
    pid_ = fork();
    if (pid_ < 0) fail(Code::io, "cannot start a process: {}", std::strerror(errno));
    if (pid_ == 0) become(prepared);
    setpgid(pid_, pid_);
    output = std::move(read_end);
    ended = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (ended.get() < 0) {
      const int error = errno;
      stop();
      fail(Code::io, "cannot watch a process: {}", std::strerror(error));
    }
  }
  ~Child() {
    stop();
    std::error_code error;
    if (!folder_.empty()) fs::remove_all(folder_, error);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Kills it with its children (bubblewrap's die with it) and returns its exit status.
  int stop() {
    if (pid_ <= 0) return status_;
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);
    int raw = 0;
    while (waitpid(pid_, &raw, 0) < 0 && errno == EINTR) continue;
    pid_ = -1;
    return status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  }

  Fd output, ended;

 private:
  pid_t pid_ = -1;
  int status_ = -1;
  std::string folder_;
};

// Appends what can be read now. False at the end of the stream; sets `cut` where `limit` is passed.
bool drain(int fd, std::string& to, size_t limit, bool& cut) {
  char buffer[65536];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    const size_t room = limit - std::min(limit, to.size());
    to.append(buffer, std::min(room, static_cast<size_t>(n)));
    if (static_cast<size_t>(n) > room) {
      cut = true;
      return true;
    }
  }
}

}  // namespace

Outcome run_plans(std::vector<SpawnPlan> plans, double timeout_s, size_t max_output_bytes, int message,
                  size_t max_message_bytes) {
  const Fd null_device(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (null_device.get() < 0) fail(Code::io, "cannot open /dev/null: {}", std::strerror(errno));
  const auto after = [](double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };
  auto deadline = after(message >= 0 ? kStartUpLimit_s : timeout_s);
  std::vector<std::unique_ptr<Child>> children;
  for (auto& plan : plans) children.push_back(std::make_unique<Child>(plan, null_device.get()));
  plans.clear();  // our copies of their descriptors: a pipe ends when the program's own end closes
  if (message >= 0) fcntl(message, F_SETFL, O_NONBLOCK);

  Outcome outcome;
  outcome.ends.resize(children.size());
  std::vector<pollfd> watched(children.size() + 2);
  for (size_t i = 0; i < children.size(); ++i) watched[i] = {children[i]->output.get(), POLLIN, 0};
  watched[children.size()] = {message, POLLIN, 0};
  watched.back() = {children[0]->ended.get(), POLLIN, 0};
  auto read_all = [&](bool everything) {
    bool within = true;
    for (size_t i = 0; i <= children.size(); ++i) {
      if (watched[i].fd < 0 || !(everything || watched[i].revents)) continue;
      const bool is_message = i == children.size();
      bool& cut = is_message ? outcome.message_cut : outcome.ends[i].output_cut;
      if (!drain(watched[i].fd, is_message ? outcome.message : outcome.ends[i].output,
                 is_message ? max_message_bytes : max_output_bytes, cut))
        watched[i].fd = -1;
      if (cut) within = false;
    }
    return within;
  };
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      outcome.timed_out = true;
      break;
    }
    const int ready = poll(watched.data(), watched.size(), static_cast<int>(std::min<int64_t>(left, 60000)));
    if (ready < 0 && errno != EINTR) fail(Code::io, "cannot wait for a program: {}", std::strerror(errno));
    if (ready <= 0) continue;
    const bool was_silent = outcome.message.empty();
    if (!read_all(false) || watched.back().revents) break;
    if (was_silent && !outcome.message.empty()) deadline = after(timeout_s);
  }
  read_all(true);
  for (size_t i = 0; i < children.size(); ++i) outcome.ends[i].exit_status = children[i]->stop();
  return outcome;
}

}  // namespace retrace
