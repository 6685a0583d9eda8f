#include "core/sandbox/sandbox.h"

#include <grp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/sandbox/sandbox_spawn.h"
#include "core/text.h"

namespace retrace {
namespace {

constexpr int kFilterDescriptor = 9;  // its number inside bwrap; programs use 3..8
constexpr const char* kSystemFolders[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
constexpr const char* kProbe = R"(import os
def refused(call):
    try: call()
    except (OSError, PermissionError): return True
    return False
import _socket
print("fork", refused(os.fork), "socket", refused(_socket.socket), "write", refused(lambda: open("/usr/x", "w")))
open("/work/x", "w").close()
)";

void add(std::vector<std::string>& to, std::initializer_list<std::string> words) {
  to.insert(to.end(), words.begin(), words.end());
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (const auto folder : split(path ? path : "/usr/bin:/bin", ':')) {
    const fs::path candidate = fs::path(folder) / name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

// The folder that holds an interpreter outside /usr (a virtual environment), and that of what its links lead
// to.
std::vector<std::string> interpreter_folders(const std::string& python) {
  std::vector<std::string> folders;
  std::error_code error;
  for (const fs::path& path : {fs::path(python), fs::canonical(python, error)}) {
    const std::string folder = path.parent_path().parent_path();
    if (path.empty() || folder == "/" || folder.empty() || folder == "/usr" || folder.starts_with("/usr/"))
      continue;
    folders.push_back(folder);
  }
  return folders;
}

}  // namespace

void Fd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

std::pair<Fd, Fd> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(Code::io, "cannot make a pipe: {}", std::strerror(errno));
  return {Fd(ends[0]), Fd(ends[1])};
}

std::pair<Fd, Fd> make_socket_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    fail(Code::io, "cannot make a socket pair: {}", std::strerror(errno));
  return {Fd(ends[0]), Fd(ends[1])};
}

Fd memory_file(const std::string& bytes) {
  Fd file(memfd_create("retrace", MFD_CLOEXEC));
  if (file.get() < 0) fail(Code::io, "cannot make a file in memory: {}", std::strerror(errno));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0) fail(Code::io, "cannot fill a file in memory: {}", std::strerror(errno));
    done += static_cast<size_t>(n);
  }
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

Sandbox::Sandbox(const SandboxConfig& config) : config_(config), bwrap_(find_program("bwrap")) {
  if (access(config_.python.c_str(), X_OK) != 0)
    throw Error(Code::usage, "there is no Python at " + config_.python,
                "install python3, or set sandbox.python to an interpreter", "sandbox.python");
  if (config_.mode == "none") {
    warn("sandbox.mode is none: model-written code runs with your rights");
    return;
  }
  filter_ = seccomp_program(config_.processes > 1);
  std::string problem = bwrap_.empty() ? "bwrap is not installed" : "";
  if (problem.empty()) {
    drop_root_ = geteuid() == 0;
    problem = probe();
    if (!problem.empty() && drop_root_) {
      drop_root_ = false;
      problem = probe();
      // The kernel does not count the processes of root.
      if (problem.empty() && config_.processes > 1)
        problem = "processes cannot be limited for root, and becoming another user failed";
    }
  }
  if (!problem.empty())
    throw Error(Code::usage, "the sandbox does not work on this machine: " + problem,
                "model-written code needs it: install bubblewrap and allow user name spaces "
                "(sysctl kernel.unprivileged_userns_clone=1), or run where nothing can be harmed with "
                "sandbox.mode=none",
                "sandbox.mode");
}

// argv in front of a program: bubblewrap with the whole view that the program gets, then its resource limits.
std::vector<std::string> Sandbox::command_of(const Program& program) const {
  std::vector<std::string> out;
  if (config_.mode == "bwrap") {
    add(out, {bwrap_, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent",
              "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox", "--ro-bind", "/usr", "/usr"});
    for (const char* folder : kSystemFolders) {
      std::error_code error;
      if (fs::is_symlink(folder, error))
        add(out, {"--symlink", fs::read_symlink(folder).string(), folder});
      else if (fs::is_directory(folder, error))
        add(out, {"--ro-bind", folder, folder});
    }
    add(out, {"--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--ro-bind-try", "/etc/alternatives",
              "/etc/alternatives"});
    for (const auto& folder : interpreter_folders(config_.python)) add(out, {"--ro-bind", folder, folder});
    add(out, {"--dev", "/dev", "--remount-ro", "/dev", "--size", std::to_string(config_.work_mib << 20),
              "--tmpfs", "/work", "--remount-ro", "/", "--chdir", "/work", "--seccomp",
              std::to_string(kFilterDescriptor), "--"});
  }
  const int64_t cpu_s = static_cast<int64_t>(std::ceil(config_.timeout_s)) + 2;
  add(out, {"/usr/bin/prlimit", "--core=0", fmt::format("--cpu={}", cpu_s),
            fmt::format("--as={}", config_.memory_mib << 20),
            fmt::format("--fsize={}", config_.work_mib << 20), "--nofile=64"});
  // One more for bubblewrap's own process in the name space. Outside a name space the user's other processes
  // would count.
  if (config_.mode == "bwrap") out.push_back(fmt::format("--nproc={}", config_.processes + 1));
  out.push_back("--");
  out.insert(out.end(), program.argv.begin(), program.argv.end());
  return out;
}

std::string Sandbox::probe() const {
  std::vector<Program> programs(1);
  programs[0].argv = {config_.python, "-s", "-B", "-c", kProbe};
  const Outcome outcome = run_for(kStartUpLimit_s, std::move(programs), Fd(), 0);
  const ProgramEnd& end = outcome.ends[0];
  const std::string output(trim(end.output));
  if (outcome.timed_out) return "a trivial program did not end in time";
  if (end.exit_status != 0 || !output.starts_with("fork"))
    return output.empty() ? fmt::format("exit status {}", end.exit_status) : shorten(output, 300);
  const std::string expected =
      fmt::format("fork {} socket True write True", config_.processes > 1 ? "False" : "True");
  const bool forked = config_.processes > 1 && output.find(expected) != std::string::npos;
  return forked || output == expected ? "" : "a probe was not confined: " + shorten(output, 200);
}

Outcome Sandbox::run(std::vector<Program> programs, const Fd& message, size_t max_message_bytes) const {
  return run_for(config_.timeout_s, std::move(programs), message, max_message_bytes);
}

Outcome Sandbox::run_for(double timeout_s, std::vector<Program> programs, const Fd& message,
                         size_t max_message_bytes) const {
  std::vector<SpawnPlan> plans;
  for (auto& program : programs) {
    SpawnPlan plan;
    plan.argv = command_of(program);
    plan.descriptors = std::move(program.descriptors);
    plan.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8",     "HOME=/work",
                        "TMPDIR=/work",       "PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1"};
    plan.drop_root = drop_root_;
    if (config_.mode == "bwrap") {
      plan.descriptors.emplace_back(memory_file(filter_), kFilterDescriptor);
    } else {
      plan.own_folder = true;
    }
    plans.push_back(std::move(plan));
  }
  return run_plans(std::move(plans), timeout_s, static_cast<size_t>(config_.output_kib) << 10, message.get(),
                   max_message_bytes);
}

Json Sandbox::describe() const {
  return {{"mode", config_.mode},           {"python", config_.python},
          {"timeout_s", config_.timeout_s}, {"memory_mib", config_.memory_mib},
          {"processes", config_.processes}, {"output_kib", config_.output_kib},
          {"work_mib", config_.work_mib},   {"root_dropped", drop_root_}};
}

}  // namespace retrace
