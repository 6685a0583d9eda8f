// core/log.h, core/process/signals.h, core/failpoint.h: what is printed, who stops whom.
#include "core/log.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <limits>
#include <regex>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/failpoint.h"
#include "core/process/signals.h"
#include "core/text.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

std::string logged(const LogOptions& options, const std::function<void()>& work) {
  const LogOptions old = log_options();
  set_log_options(options);
  Captured err(STDERR_FILENO);
  work();
  set_log_options(old);
  return err.text();
}

void all_levels() {
  debug("d {}", 1);
  info("i {}", 2);
  warn("w {}", 3);
  log_line(Level::error, "e");
}

}  // namespace

TEST_CASE("log: levels, ranks and colours", "[unit]") {
  const WithVariable colours("NO_COLOR", nullptr);
  const std::regex plain(
      "\\d\\d:\\d\\d:\\d\\d i 2\n\\d\\d:\\d\\d:\\d\\d warning: w 3\n\\d\\d:\\d\\d:\\d\\d error: e\n");
  REQUIRE(std::regex_match(logged({}, all_levels), plain));
  LogOptions terminal;
  terminal.terminal = true;
  terminal.level = Level::debug;
  REQUIRE(logged(terminal, all_levels) ==
          "\033[2mdebug: \033[0md 1\ni 2\n\033[33mwarning: \033[0mw 3\n\033[31merror: \033[0me\n");
  {
    const WithVariable no_colour("NO_COLOR", "1");
    REQUIRE(logged(terminal, all_levels) == "debug: d 1\ni 2\nwarning: w 3\nerror: e\n");
  }
  LogOptions second;
  second.rank = 1;
  const std::string other = logged(second, all_levels);
  REQUIRE(split_lines(other).size() == 2);
  REQUIRE(other.find("[rank 1] warning: w 3\n") != std::string::npos);
  LogOptions quiet;
  quiet.level = Level::warning;
  REQUIRE(split_lines(logged(quiet, all_levels)).size() == 2);
}

TEST_CASE("log: a message is one line whatever it holds", "[unit]") {
  const std::string text = logged({}, [] { info("a\nb\r\n  c\033[31m\x07 d\xff\n"); });
  REQUIRE(split_lines(text).size() == 1);
  REQUIRE(text.substr(9) == "a b  c [31m d\xEF\xBF\xBD\n");
}

TEST_CASE("log: lines of several threads stay whole", "[unit]") {
  const std::string text = logged({}, [] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([t] {
        for (int i = 0; i < 100; ++i) info("{}", std::string(50, static_cast<char>('a' + t)));
      });
    for (auto& thread : threads) thread.join();
  });
  const auto lines = split_lines(text);
  REQUIRE(lines.size() == 400);
  for (auto line : lines) REQUIRE(line.substr(9) == std::string(50, line.back()));
}

TEST_CASE("progress: silent when short, then lines, and one at the end", "[unit]") {
  REQUIRE(logged({}, [] {
            Progress progress("pack", 10, "files");
            progress.add(10);
          }).empty());
  LogOptions quiet, second, terminal;
  quiet.level = Level::warning;
  second.rank = 1;
  terminal.terminal = true;
  const auto work = [] {
    Progress progress("pack", 100, "files");
    progress.add(50);
    progress.note("loss 3.21");
    std::this_thread::sleep_for(std::chrono::milliseconds(2400));
    info("between");
    progress.add(50);
  };
  const std::string lines = logged({}, work);
  REQUIRE(std::regex_match(
      lines,
      std::regex("[0-9:]+ pack: 50/100 files \\(50%\\), 2[0-9]\\.[0-9] files/s, ETA 2\\.[0-9]s, loss 3.21\n"
                 "[0-9:]+ between\n[0-9:]+ pack: 100 files in 2\\.[0-9]s \\(4[0-9]\\.[0-9] files/s\\), loss "
                 "3.21\n")));
  const std::string slow = logged({}, [] {
    Progress progress("search", 400, "repositories");
    progress.part(0.2);
    std::this_thread::sleep_for(std::chrono::milliseconds(2400));
    progress.part(0);
  });
  REQUIRE(std::regex_match(
      slow, std::regex("[0-9:]+ search: 0\\.2/400 repositories \\(0%\\), [56]\\.[0-9] repositories/min, ETA "
                       "[0-9hm]+\n[0-9:]+ search: 0 repositories in 2\\.[0-9]s \\(0 repositories/s\\)\n")));
  const std::string live = logged(terminal, work);
  REQUIRE(live.find("\r\033[Kpack: 50/100 files") != std::string::npos);
  // The live line is cleared before another line and shown again after it; the last one ends the display.
  REQUIRE(live.find("\r\033[Kbetween\npack: 50/100") != std::string::npos);
  REQUIRE(live.ends_with("\n"));
  REQUIRE(live.find("\r\033[Kpack: 100 files in ") != std::string::npos);
  for (const LogOptions& silent : {quiet, second})
    REQUIRE(logged(silent, [] {
              Progress progress("x", 0, "files");
              progress.add();
            }).empty());
}

TEST_CASE("log: durations, counts and bytes for people", "[unit]") {
  REQUIRE(format_duration(0.04) == "0.0s");
  REQUIRE(format_duration(12.34) == "12.3s");
  REQUIRE(format_duration(59.96) == "1m00s");
  REQUIRE(format_duration(245) == "4m05s");
  REQUIRE(format_duration(3599.7) == "1h00m");
  REQUIRE(format_duration(7380) == "2h03m");
  REQUIRE(format_duration(-1) == "?");
  REQUIRE(format_duration(std::numeric_limits<double>::infinity()) == "?");
  REQUIRE(format_count(7) == "7");
  REQUIRE(format_count(2.5) == "2.5");
  REQUIRE(format_count(999) == "999");
  REQUIRE(format_count(12'100) == "12.1k");
  REQUIRE(format_count(999'960) == "1.0M");
  REQUIRE(format_count(3'400'000) == "3.4M");
  REQUIRE(format_bytes(0) == "0 B");
  REQUIRE(format_bytes(1023) == "1023 B");
  REQUIRE(format_bytes(1024) == "1.0 KiB");
  REQUIRE(format_bytes(3'565'158) == "3.4 MiB");
  REQUIRE(format_bytes(std::numeric_limits<uint64_t>::max()) == "16.0 EiB");
}

TEST_CASE("signals: the first asks to stop, a second SIGINT ends at once", "[fault]") {
  const auto outcome = [](const std::vector<int>& signals) {
    return in_child([&] {
      install_signal_handlers();
      for (const int number : signals) ::raise(number);
      std::string text = std::to_string(stop_signal());
      for (int i = 0; i < 2; ++i) text += take_save_request() ? " save" : " no";
      text += " ";
      try {
        throw_if_stopped();
      } catch (const Error& error) {
        text += std::to_string(error.status());
      }
      return text;
    });
  };
  REQUIRE(outcome({}) == "0 no no ");
  REQUIRE(outcome({SIGINT}) == "2 no no 130");
  REQUIRE(outcome({SIGTERM}) == "15 no no 143");
  REQUIRE(outcome({SIGTERM, SIGTERM}) == "15 no no 143");
  REQUIRE(outcome({SIGUSR1, SIGUSR1}) == "0 save no ");
  REQUIRE(outcome({SIGUSR1, SIGTERM}) == "15 save no 143");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    install_signal_handlers();
    ::raise(SIGINT);
    ::raise(SIGINT);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 130);
  REQUIRE(in_child([] {
            request_save();
            return std::string(take_save_request() ? "save" : "no");
          }) == "save");
}

TEST_CASE("signals: a child that asked for it dies with its parent", "[fault]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t parent = start_child([&] {
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      die_with_parent();
      while (true) ::pause();  // holds the pipe open as long as it lives
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  });
  ::close(ends[1]);
  end_child(parent, SIGKILL);
  char byte = 0;
  REQUIRE(::read(ends[0], &byte, 1) == 0);
  ::close(ends[0]);
  REQUIRE(in_child([] {
            const WithVariable launcher("RETRACE_LAUNCHER_PID", "1999999999");
            die_with_parent();
            return std::string("alive");
          }) == "killed by signal 9");
}

TEST_CASE("failpoints: each name can be armed with each action", "[fault]") {
  REQUIRE(failpoint_names().size() >= 9);
  for (const std::string& name : failpoint_names()) {
    const auto outcome = [&](const std::string& suffix, int64_t step) {
      return in_child([&] {
        arm_failpoints(name + suffix, 1);
        failpoint(name.c_str(), step);
        return std::string("passed");
      });
    };
    INFO(name);
    REQUIRE(outcome("", 3) == "killed by signal 9");
    REQUIRE(outcome(":1:3:throw", 3).starts_with("thrown: internal: failpoint '" + name + "' at step 3"));
    REQUIRE(outcome(":1:3:enospc", 3).starts_with("thrown: io: "));
    REQUIRE(outcome(":0:3:throw", 3) == "passed");
    REQUIRE(outcome(":1:4:throw", 3) == "passed");
    REQUIRE(outcome("::3:throw", 3).starts_with("thrown: internal"));
    REQUIRE(outcome(":*:*:throw", -1).starts_with("thrown: internal"));
  }
}

TEST_CASE("failpoints: the names in the sources and the known names are the same", "[unit]") {
  std::set<std::string> called;
  const std::regex call("failpoint\\(\"([^\"]*)\"");
  const fs::path root = RETRACE_SOURCE_DIR;
  std::vector<fs::path> sources = {root / "loop.cpp"};
  for (const char* room : {"core", "data", "model", "synth", "train", "eval"})
    for (const auto& entry : fs::recursive_directory_iterator(root / room))
      if (entry.path().extension() == ".cpp") sources.push_back(entry.path());
  for (const fs::path& source : sources) {
    const std::string text = slurp(source);
    for (auto it = std::sregex_iterator(text.begin(), text.end(), call); it != std::sregex_iterator(); ++it)
      called.insert((*it)[1]);
  }
  REQUIRE(called == std::set<std::string>(failpoint_names().begin(), failpoint_names().end()));
}

TEST_CASE("failpoints: stop freezes the process", "[fault]") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    arm_failpoints("mid_shard:::stop", 0);
    failpoint("mid_shard");
    ::_exit(5);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, WUNTRACED) == child);
  REQUIRE(WIFSTOPPED(status));
  ::kill(child, SIGCONT);
  ::waitpid(child, &status, 0);
  REQUIRE(WEXITSTATUS(status) == 5);
}

TEST_CASE("failpoints: bad specifications are recipe errors, and none is armed", "[unit]") {
  for (const char* spec : {"nowhere", "mid_shard:x", "mid_shard:0:y", "mid_shard:0:0:explode",
                           "mid_shard:0:0:kill:1", "mid_shard,", ":0", "mid_shard:1 2"}) {
    INFO(spec);
    const Error error = error_of([&] { arm_failpoints(spec, 0); });
    REQUIRE(error.code() == Code::recipe);
    REQUIRE_FALSE(error.hint().empty());
  }
  arm_failpoints("mid_shard:0:7:throw, before_rename:0:8:throw", 0);
  REQUIRE_NOTHROW(failpoint("mid_shard", 8));
  REQUIRE(error_of([] { failpoint("mid_shard", 7); }).code() == Code::internal);
  REQUIRE(error_of([] { failpoint("before_rename", 8); }).code() == Code::internal);
  arm_failpoints("", 0);
  REQUIRE_NOTHROW(failpoint("mid_shard", 7));
}
