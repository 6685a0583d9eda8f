#include "core/process/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstring>

#include "core/clock.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/process/process_spawn.h"

namespace retrace {

namespace {

class Handle {
 public:
  Handle() = default;
  explicit Handle(int fd) : fd_(fd) {}
  Handle(Handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Handle() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Handle read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail(Code::io, "cannot make a pipe: {}", std::strerror(errno));
    read = Handle(ends[0]);
    write = Handle(ends[1]);
  }
};

void make_nonblocking(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// A child that closes its standard input early must not end us: SIGPIPE is held back in this thread.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &old_);
  }
  ~NoSigpipe() {
    const timespec at_once{};
    if (!was_pending_)
      while (::sigtimedwait(&pipe_, nullptr, &at_once) > 0) {
      }
    ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_{}, old_{};
  bool was_pending_ = false;
};

// Feeds and drains one child until it ends or its time is up.
class Conversation {
 public:
  Conversation(pid_t child, Handle input, Handle output, const ProcessOptions& options)
      : child_(child),
        exit_(process_spawn::exit_descriptor(child)),
        input_(std::move(input)),
        output_(std::move(output)),
        options_(options) {
    make_nonblocking(input_.get());
    make_nonblocking(output_.get());
    if (options.input.empty()) input_.close();
  }

  // However this ends, no child is left.
  ~Conversation() {
    if (!reaped_) process_spawn::end_group_and_reap(child_);
  }

  ProcessResult run() {
    const auto start = Clock::now();
    while (!process_spawn::has_ended(child_)) {
      const double left_s = options_.timeout_s - elapsed_s(start);
      if (options_.timeout_s > 0 && left_s <= 0) {
        result_.timed_out = true;
        break;
      }
      wait_for_events(left_s);
      write_input();
      read_output();
    }
    const int wait_status = process_spawn::end_group_and_reap(child_);
    reaped_ = true;
    read_output();
    result_.exit_status = process_spawn::status_of(wait_status);
    return std::move(result_);
  }

 private:
  void wait_for_events(double left_s) const {
    constexpr int kWithoutExitDescriptor_ms = 10, kLongest_ms = 1000;
    int wait_ms = exit_.get() >= 0 ? kLongest_ms : kWithoutExitDescriptor_ms;
    if (options_.timeout_s > 0) wait_ms = std::min(wait_ms, static_cast<int>(left_s * 1000) + 1);
    pollfd events[3] = {{exit_.get(), POLLIN, 0}, {input_.get(), POLLOUT, 0}, {output_.get(), POLLIN, 0}};
    ::poll(events, 3, wait_ms);
  }

  void write_input() {
    if (input_.get() < 0) return;
    const NoSigpipe guard;
    while (written_ < options_.input.size()) {
      const ssize_t got =
          ::write(input_.get(), options_.input.data() + written_, options_.input.size() - written_);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got < 0) break;  // it reads no more
      written_ += static_cast<size_t>(got);
    }
    input_.close();
  }

  // What does not fit is read and forgotten, so that the child does not hang.
  void read_output() {
    char piece[65536];
    while (output_.get() >= 0) {
      const ssize_t got = ::read(output_.get(), piece, sizeof piece);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) {
        output_.close();
        return;
      }
      const size_t room = options_.max_output_bytes - result_.output.size();
      const size_t take = std::min(room, static_cast<size_t>(got));
      result_.output.append(piece, take);
      if (take < static_cast<size_t>(got)) {
        result_.output_cut = true;
        return;  // look at the clock now and then, even if the output never ends
      }
    }
  }

  pid_t child_;
  Handle exit_, input_, output_;
  const ProcessOptions& options_;
  ProcessResult result_;
  size_t written_ = 0;
  bool reaped_ = false;
};

}  // namespace

ProcessResult run_process(const std::vector<std::string>& argv, const ProcessOptions& options) {
  ensure(!argv.empty(), "a process has a program");
  Pipe input, output;
  process_spawn::Options spawn_options;
  spawn_options.environment = options.environment;
  spawn_options.clear_environment = options.clear_environment;
  spawn_options.working_folder = options.working_folder;
  spawn_options.stdin_fd = input.read.get();
  spawn_options.stdout_fd = output.write.get();
  if (options.merge_stderr) spawn_options.stderr_fd = output.write.get();
  const pid_t child = process_spawn::spawn(argv[0], argv, spawn_options);
  input.read.close();
  output.write.close();
  return Conversation(child, std::move(input.write), std::move(output.read), options).run();
}

std::string self_path() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  if (error) fail(Code::internal, "cannot read /proc/self/exe: {}", error.message());
  return path.string();
}

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  ensure(::gethostname(name, sizeof name - 1) == 0, "this machine has a name");
  return name;
}

int free_port() {
  const Handle socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (socket.get() < 0 || ::bind(socket.get(), generic, size) != 0 ||
      ::getsockname(socket.get(), generic, &size) != 0)
    fail(Code::io, "cannot find a free port on 127.0.0.1: {}", std::strerror(errno));
  return ntohs(address.sin_port);
}

}  // namespace retrace
