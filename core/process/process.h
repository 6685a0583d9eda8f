// Child processes: run and capture, and the rank launcher of `--nproc N`.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace retrace {

struct ProcessResult {
  int exit_status = 0;  // 128 + signal if killed by one
  bool timed_out = false;
  bool output_cut = false;  // more than max_output_bytes
  std::string output;       // stdout, and stderr if merged
};

struct ProcessOptions {
  std::map<std::string, std::string>
      environment;  // the whole environment if clear_environment, else additions
  bool clear_environment = false;
  std::string working_folder, input;
  double timeout_s = 0;  // 0 = none; the child's process group is killed when it passes
  size_t max_output_bytes = size_t{64} << 20;
  bool merge_stderr = true;
};

// Error{input} if the program cannot be started. The child gets a process group of its own, which is killed
// when the child ends or its time is up. It dies with the calling thread, so with this process. Standard
// error that is not merged goes where ours goes.
ProcessResult run_process(const std::vector<std::string>& argv, const ProcessOptions& options = {});

// Starts `nproc` copies of this program with RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR,
// MASTER_PORT set (rank 0 serves the store), waits, and returns the exit status of the first that failed; the
// others are then stopped (SIGTERM, SIGKILL after grace_s). Forwards SIGINT, SIGTERM and SIGUSR1. Ranks die
// with the launcher.
// A rank killed by SIGKILL gives 75, by SIGINT 130, by SIGTERM 143, by another signal 1. argv[0] is a name
// only (Call::argv fits); `program` "" is this binary.
int launch_ranks(const std::vector<std::string>& argv, int nproc, double grace_s = 20,
                 const std::string& program = "");

std::string self_path();  // /proc/self/exe
std::string host_name();
int free_port();  // a TCP port on 127.0.0.1 that was free a moment ago

}  // namespace retrace
