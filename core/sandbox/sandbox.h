// Programs that a model wrote, in a box: own user, process, network and file system name spaces (bubblewrap),
// read-only toolchain, sized work folder, no stdin, resource limits, a system-call deny list, a wall clock
// that kills everything. It confines; it does not judge: verdicts are made outside (eval/scoring/grader.h).
// Kernel bugs are out of its reach, and sandbox.mode = "none" keeps only the resource limits, the time limit
// and the output cap.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/sandbox/config.h"

namespace retrace {

// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  int get() const { return fd_; }
  void reset();

 private:
  int fd_;
};

std::pair<Fd, Fd> make_pipe();             // read end, write end
std::pair<Fd, Fd> make_socket_pair();      // both ends read and write
Fd memory_file(const std::string& bytes);  // anonymous, read from its start

struct Program {
  std::vector<std::string> argv;
  std::vector<std::pair<Fd, int>>
      descriptors;  // {ours, its number in the program, 3..8}; closed here once started
};

struct ProgramEnd {
  std::string output;       // stdout and stderr
  bool output_cut = false;  // more than sandbox.output_kib: everything was killed
  int exit_status = -1;     // 128 + signal if killed by one
};

struct Outcome {
  std::vector<ProgramEnd> ends;  // in the order of the programs
  std::string message;           // what came through the pipe that the caller watches
  bool timed_out = false, message_cut = false;
};

class Sandbox {
 public:
  // Tries a small program. Error{usage} with a hint if this machine cannot confine it and mode is "bwrap".
  explicit Sandbox(const SandboxConfig& config);
  // Runs programs side by side until the first of them ends, one prints too much, or time is up; then kills
  // whatever is left, with all its children. `message` (a read end, or none) is read to its end, at most
  // max_message_bytes; where there is one, the clock of timeout_s starts with its first byte, so that a busy
  // machine's start-up does not count.
  Outcome run(std::vector<Program> programs, const Fd& message = Fd(),
              size_t max_message_bytes = 1 << 20) const;
  Json describe() const;  // for results: mode, limits, whether root rights were dropped
  const SandboxConfig& config() const { return config_; }

 private:
  std::vector<std::string> command_of(const Program& program) const;
  Outcome run_for(double timeout_s, std::vector<Program> programs, const Fd& message,
                  size_t max_message_bytes) const;
  std::string probe() const;  // "" or what went wrong
  SandboxConfig config_;
  std::string bwrap_, filter_;
  bool drop_root_ = false;
};

// The system calls that the sandbox refuses, compiled for the kernel (classic BPF). Without may_fork a
// program can make neither processes nor threads.
std::string seccomp_program(bool may_fork);

}  // namespace retrace
