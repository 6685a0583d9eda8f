// Servers that a recipe's command starts: ready, dead, silent, stubborn; and none is left in the end.
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/net/http.h"
#include "model/endpoint/served_model.h"
#include "tests/shared.h"

using namespace retrace;
using namespace retrace::model;
using tests::TempFolder;

namespace {

ServeOptions serve(const std::string& command, double timeout_s = 30) {
  return {command, "/", timeout_s, 1};
}

// A process that is a zombie has ended; who reaps it does not matter.
bool alive(int pid) {
  const fs::path stat = fs::path("/proc") / std::to_string(pid) / "stat";
  if (!fs::exists(stat)) return false;
  const std::string text = read_file(stat);
  return text.substr(text.rfind(')') + 2, 1) != "Z";
}

bool gone_within(int pid, double seconds) {
  for (double waited = 0; waited < seconds; waited += 0.02) {
    if (!alive(pid)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

int pid_in(const fs::path& file) {
  return std::stoi(read_file(file));
}

}  // namespace

TEST_CASE("a served model answers under its address, and its whole group ends with it", "[unit]") {
  const TempFolder folder;
  write_file(folder.path() / "it's here" / "config.json", "{}");
  const fs::path pid = folder.path() / "pid", log = folder.path() / "serve.log";
  int server = 0;
  {
    const ServedModel model(serve("sleep 600 & echo $! > " + pid.string() +
                                  "; echo {model} {round}; cd {weights}; "
                                  "exec python3 -u -m http.server {port} --bind {host}"),
                            {folder.path() / "it's here", "name-12", "127.0.0.1", 2}, log);
    HttpClient client;
    HttpRequest request;
    request.method = "GET";
    request.url = model.url() + "/config.json";
    client.start(request);
    const auto results = client.wait(10);
    REQUIRE((results.size() == 1 && results[0].body == "{}"));
    server = pid_in(pid);
    REQUIRE(alive(server));
  }
  REQUIRE(gone_within(server, 5));
  REQUIRE(read_file(log).starts_with("name-12 2\n"));
}

TEST_CASE("a command that dies, or never answers, is one error with the end of its log", "[fault]") {
  const TempFolder folder;
  const fs::path pid = folder.path() / "pid", log = folder.path() / "serve.log";
  const auto error_of = [&](const std::string& command, double timeout_s) {
    try {
      const ServedModel model(serve(command, timeout_s), {folder.path(), "name", "127.0.0.1", 1}, log);
    } catch (const Error& error) {
      return error;
    }
    return Error(Code::internal, "it was ready");
  };
  const Error dead = error_of("echo loading {port}; echo 'no GPU' >&2; exit 3", 30);
  REQUIRE(dead.status() == 75);
  REQUIRE(dead.message().find("ended with status 3 before it answered") != std::string::npos);
  REQUIRE(dead.hint().find("no GPU") != std::string::npos);
  REQUIRE(dead.where() == log.string());
  // It also ignores SIGTERM.
  const Error silent = error_of("trap '' TERM; echo waiting {port}; sh -c 'echo $$ > " + pid.string() +
                                    "; trap \"\" TERM; sleep 600; sleep 600'",
                                0.5);
  REQUIRE(silent.status() == 75);
  REQUIRE(silent.message().find("did not answer GET / with 200 within 0.5 s") != std::string::npos);
  REQUIRE(silent.hint().find("waiting") != std::string::npos);
  REQUIRE(gone_within(pid_in(pid), 5));
  REQUIRE(error_of("no-such-program-anywhere {port}", 30).hint().find("not found") != std::string::npos);
  REQUIRE(error_of("python3 -m http.server", 1).code() == Code::recipe);
}

TEST_CASE("a server does not outlive a process that is killed", "[fault]") {
  const TempFolder folder;
  const fs::path pid = folder.path() / "pid";
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      const ServedModel model(serve("sh -c 'echo $$ > " + pid.string() +
                                    "; trap \"\" TERM; sleep 600; sleep 600' & "
                                    "exec python3 -m http.server {port} --bind {host}"),
                              {folder.path(), "name", "127.0.0.1", 1}, folder.path() / "serve.log");
      ::kill(::getpid(), SIGKILL);
    } catch (const std::exception&) {
    }
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  REQUIRE(gone_within(pid_in(pid), 10));
}
