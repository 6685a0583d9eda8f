// core/process/process.h: children that hang, flood, crash or leave others behind; and the rank launcher.
#include "core/process/process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "core/log.h"
#include "core/text.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool alive(pid_t pid) {
  const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.compare(name_end + 2, 1, "Z") != 0;
}

// True once `condition` holds, false after five seconds.
bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

pid_t pid_in(const fs::path& path) {
  REQUIRE(soon([&] { return slurp(path).ends_with("\n"); }));
  return static_cast<pid_t>(std::stol(slurp(path)));
}

ProcessResult shell(const std::string& script, const ProcessOptions& options = {}) {
  return run_process({"sh", "-c", script}, options);
}

}  // namespace

TEST_CASE("process: output, input, status, environment and folder", "[unit]") {
  TempFolder temp;
  REQUIRE(shell("echo out; echo err >&2; exit 7").output == "out\nerr\n");
  REQUIRE(shell("exit 7").exit_status == 7);
  REQUIRE(shell("kill -9 $$").exit_status == 137);
  ProcessOptions options;
  options.input = std::string(300'000, 'i');
  REQUIRE(shell("wc -c", options).output == "300000\n");
  REQUIRE(shell("exec 0<&-; sleep 0.1; echo done", options).output == "done\n");  // reads nothing: no SIGPIPE
  options = {};
  options.environment["RETRACE_TEST_VALUE"] = "v w";
  options.working_folder = temp.path().string();
  REQUIRE(shell("echo $RETRACE_TEST_VALUE; pwd -P", options).output ==
          "v w\n" + fs::canonical(temp.path()).string() + "\n");
  REQUIRE(shell("test -n \"$PATH\"", options).exit_status == 0);
  options.clear_environment = true;
  REQUIRE(run_process({"/usr/bin/env"}, options).output == "RETRACE_TEST_VALUE=v w\n");
  options = {};
  options.merge_stderr = false;
  Captured err(STDERR_FILENO);
  REQUIRE(shell("echo out; echo err >&2", options).output == "out\n");
  REQUIRE(err.text() == "err\n");
}

TEST_CASE("process: what cannot be started is an input error", "[unit]") {
  REQUIRE(error_of([] { run_process({"retrace-no-such-program"}); }).code() == Code::input);
  REQUIRE(error_of([] { run_process({"/nonexistent/program"}); }).code() == Code::input);
  REQUIRE(error_of([] { run_process({"/etc/passwd"}); }).code() == Code::input);
  ProcessOptions options;
  options.working_folder = "/nonexistent/folder";
  const Error error = error_of([&] { run_process({"sh", "-c", "true"}, options); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(error.message().find("/nonexistent/folder") != std::string::npos);
}

TEST_CASE("process: time runs out for the whole group", "[unit]") {
  TempFolder temp;
  ProcessOptions options;
  options.timeout_s = 0.3;
  ProcessResult result;
  const double took_s = seconds_of([&] {
    result = shell("sleep 60 & echo $! > " + (temp / "pid").string() + "; echo begun; wait", options);
  });
  REQUIRE(result.timed_out);
  REQUIRE(result.exit_status == 137);
  REQUIRE(result.output == "begun\n");
  REQUIRE(took_s < 5);
  const pid_t background = pid_in(temp / "pid");
  REQUIRE(soon([&] { return !alive(background); }));
}

TEST_CASE("process: a background process neither delays the end nor survives it", "[unit]") {
  TempFolder temp;
  const double took_s = seconds_of([&] {
    const auto result = shell("sleep 60 & echo $! > " + (temp / "pid").string() + "; echo done");
    REQUIRE(result.output == "done\n");
    REQUIRE(result.exit_status == 0);
    REQUIRE_FALSE(result.timed_out);
  });
  REQUIRE(took_s < 5);
  const pid_t background = pid_in(temp / "pid");
  REQUIRE(soon([&] { return !alive(background); }));
}

TEST_CASE("process: output is capped while it is read", "[unit]") {
  ProcessOptions options;
  options.max_output_bytes = 1000;
  const ProcessResult result = shell("head -c 3000000 /dev/zero; echo end >&2; exit 3", options);
  REQUIRE(result.output.size() == 1000);
  REQUIRE(result.output_cut);
  REQUIRE(result.exit_status == 3);
  options.timeout_s = 0.3;
  const ProcessResult endless = run_process({"cat", "/dev/zero"}, options);
  REQUIRE(endless.timed_out);
  REQUIRE(endless.output.size() == 1000);
  options.max_output_bytes = 6;
  REQUIRE_FALSE(shell("echo 12345", options).output_cut);
}

TEST_CASE("process: a child has fresh signal settings and dies with its parent", "[unit]") {
  TempFolder temp;
  const std::string outcome = in_child([] {
    std::signal(SIGTERM, SIG_IGN);
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGUSR1);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
    return std::to_string(shell("kill -TERM $$; sleep 1").exit_status) + " " +
           std::to_string(shell("kill -USR1 $$; sleep 1").exit_status);
  });
  REQUIRE(outcome == "143 138");
  const fs::path pid_file = temp / "pid";
  const pid_t parent = ::fork();
  REQUIRE(parent >= 0);
  if (parent == 0) {
    shell("echo $$ > " + pid_file.string() + "; exec sleep 60");
    ::_exit(0);
  }
  const pid_t child = pid_in(pid_file);
  REQUIRE(alive(child));
  end_child(parent, SIGKILL);
  REQUIRE(soon([&] { return !alive(child); }));
}

TEST_CASE("process: names and ports", "[unit]") {
  REQUIRE(fs::path(self_path()).filename() == "tests_core");
  REQUIRE_FALSE(host_name().empty());
  const int port = free_port();
  REQUIRE(port > 0);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::close(fd);
  REQUIRE(bound == 0);
}

namespace {

struct Launch {
  int status;
  std::string log;
};

Launch launch(const std::string& script, int nproc, double grace_s = 5) {
  set_log_options({});
  Captured err(STDERR_FILENO);
  const int status = launch_ranks({"sh", "-c", script}, nproc, grace_s, "/bin/sh");
  return {status, err.text()};
}

}  // namespace

TEST_CASE("launcher: each rank has its place in the environment", "[dist]") {
  TempFolder temp;
  const WithVariable threads("OMP_NUM_THREADS", nullptr);
  const Launch result = launch(
      "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $RETRACE_LAUNCHER "
      "$MASTER_PORT $RETRACE_LAUNCH_ID $OMP_NUM_THREADS > " +
          temp.path().string() + "/$RANK",
      3);
  REQUIRE(result.status == 0);
  std::set<std::string> common;
  for (int rank = 0; rank < 3; ++rank) {
    const std::string text = slurp(temp / std::to_string(rank));
    const std::string start = fmt::format("{0} {0} 3 3 127.0.0.1 1 ", rank);
    REQUIRE(text.starts_with(start));
    common.insert(text.substr(start.size()));
    const auto words = split(trim(text), ' ');
    REQUIRE(words.size() == 9);
    REQUIRE(std::stoi(std::string(words[6])) > 0);
    REQUIRE(words[7].size() == 16);
    const unsigned cores = std::thread::hardware_concurrency();
    REQUIRE(std::stoul(std::string(words[8])) == std::max(1U, cores / 3));
  }
  REQUIRE(common.size() == 1);
}

TEST_CASE("launcher: the first failure decides and ends the others", "[dist]") {
  double took_s = seconds_of([] { REQUIRE(launch("test $RANK = 1 && exit 3; sleep 60", 3).status == 3); });
  REQUIRE(took_s < 5);
  REQUIRE(launch("exit 0", 2).status == 0);
  // A rank that only lost its peer ends with 75; the cause is the other one.
  REQUIRE(launch("test $RANK = 1 && exit 75; sleep 0.1; exit 3", 2).status == 3);
  REQUIRE(launch("test $RANK = 1 && exit 4; trap 'exit 75' TERM; sleep 60 & wait", 2).status == 4);
}

TEST_CASE("launcher: a killed rank is named and gives 75, a crashed one 1", "[dist]") {
  const Launch killed = launch("test $RANK = 1 && kill -9 $$; sleep 60", 2);
  REQUIRE(killed.status == 75);
  REQUIRE(killed.log.find("rank 1") != std::string::npos);
  REQUIRE(killed.log.find("signal 9") != std::string::npos);
  REQUIRE(launch("test $RANK = 0 && kill -SEGV $$; sleep 60", 2).status == 1);
}

TEST_CASE("launcher: frozen and stubborn ranks are ended in time", "[dist]") {
  TempFolder temp;
  const double took_s = seconds_of([&] {
    const Launch result = launch(
        "case $RANK in 0) sleep 0.3; exit 3;; 1) kill -STOP $$;; 2) trap '' TERM; while :; do "
        "sleep 1; done;; esac",
        3, 0.5);
    REQUIRE(result.status == 3);
  });
  REQUIRE(took_s < 5);
}

TEST_CASE("launcher: signals reach the ranks", "[dist]") {
  TempFolder temp;
  const fs::path folder = temp.path();
  const auto start = [&] {
    const pid_t launcher = ::fork();
    REQUIRE(launcher >= 0);
    if (launcher == 0) {
      const std::string f = folder.string();
      const std::string script = "trap 'echo usr >> " + f +
                                 "/got$RANK' USR1; trap 'exit 143' TERM; trap 'exit 130' INT; "
                                 "echo $$ > " +
                                 f + "/pid$RANK; while :; do sleep 0.05; done";
      ::_exit(launch_ranks({"sh", "-c", script}, 2, 5, "/bin/sh"));
    }
    return launcher;
  };
  for (const auto& [signal, expected] :
       {std::pair{SIGTERM, 143}, std::pair{SIGINT, 130}, std::pair{SIGHUP, 143}}) {
    for (const char* name : {"pid0", "pid1", "got0", "got1"}) fs::remove(folder / name);
    const pid_t launcher = start();
    pid_in(folder / "pid0");
    pid_in(folder / "pid1");
    ::kill(launcher, SIGUSR1);
    REQUIRE(soon([&] { return slurp(folder / "got0") == "usr\n" && slurp(folder / "got1") == "usr\n"; }));
    ::kill(launcher, signal);
    int status = 0;
    REQUIRE(::waitpid(launcher, &status, 0) == launcher);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == expected);
  }
}

TEST_CASE("launcher: ranks die with a killed launcher", "[dist]") {
  TempFolder temp;
  const fs::path folder = temp.path();
  const pid_t launcher = ::fork();
  REQUIRE(launcher >= 0);
  if (launcher == 0)
    ::_exit(launch_ranks(
        {"sh", "-c", "echo $$ > " + folder.string() + "/pid$RANK; trap '' TERM; while :; do sleep 1; done"},
        2, 5, "/bin/sh"));
  const pid_t first = pid_in(folder / "pid0"), second = pid_in(folder / "pid1");
  end_child(launcher, SIGKILL);
  REQUIRE(soon([&] { return !alive(first) && !alive(second); }));
}
