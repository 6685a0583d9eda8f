// Fork and exec with all that a child of ours needs. For core/*process.cpp and core/process/launcher.cpp
// only.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace retrace::process_spawn {

struct Options {
  std::map<std::string, std::string> environment;
  bool clear_environment = false;
  std::string working_folder;
  int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;  // -1: ours
};

// The child leads a process group of its own, has default signal handlers and an empty signal mask, and gets
// SIGKILL when the calling thread ends. Error{input} if `program` (searched in PATH) cannot be executed.
pid_t spawn(const std::string& program, const std::vector<std::string>& argv, const Options& options);

// A descriptor that is readable once the process has ended; -1 where the kernel has none.
int exit_descriptor(pid_t pid);
int ended_status(pid_t pid);  // 0-255, 128 + signal, of one that has ended and is not reaped
bool has_ended(pid_t pid);    // but is not reaped, so that its number and its group's are still its own
// Kills what is left of the group (the leader too), waits for the leader, returns its wait status.
int end_group_and_reap(pid_t leader);
int status_of(int wait_status);  // 0-255, 128 + signal

}  // namespace retrace::process_spawn
