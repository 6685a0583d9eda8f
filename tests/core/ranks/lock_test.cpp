// core/ranks/run_lock.h and core/ranks/lock_file.h: one holder at a time, and no lock that outlives its
// holder.
#include "core/ranks/run_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <thread>

#include "core/files/files.h"
#include "core/json.h"
#include "core/process/process.h"
#include "core/ranks/lock_file.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

TEST_CASE("run lock: a second holder is refused and told who holds it", "[unit]") {
  TempFolder temp;
  const fs::path folder = temp / "runs/x";
  {
    const RunLock lock(folder);
    const Error error = error_of([&] { RunLock second(folder); });
    REQUIRE(error.code() == Code::io);
    REQUIRE(error.status() == 75);
    REQUIRE(error.message().find(std::to_string(::getpid())) != std::string::npos);
    REQUIRE(error.message().find(host_name()) != std::string::npos);
    REQUIRE(error.message().find(folder.string()) != std::string::npos);
    const Json content = parse_json(slurp(folder / "run.lock"), "run.lock");
    for (const char* key : {"host", "boot_id", "pid", "start_time_ticks", "started"})
      REQUIRE(content.contains(key));
    REQUIRE(in_child([&] {
              RunLock other(folder);
              return std::string("taken");
            }).starts_with("thrown: io: the run folder"));
  }
  REQUIRE_FALSE(fs::exists(folder / "run.lock"));
  { const RunLock again(folder); }
  REQUIRE(list_folder(folder).empty());
}

TEST_CASE("run lock: a killed holder's lock is taken over at once", "[fault]") {
  TempFolder temp;
  const pid_t holder = start_child([&] { new RunLock(temp.path()); });
  REQUIRE(error_of([&] { RunLock lock(temp.path()); }).code() == Code::io);
  ::kill(holder, SIGSTOP);  // frozen is not gone
  REQUIRE(error_of([&] { RunLock lock(temp.path()); }).code() == Code::io);
  end_child(holder, SIGKILL);
  const auto start = std::chrono::steady_clock::now();
  const RunLock lock(temp.path());
  REQUIRE(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  REQUIRE(list_folder(temp.path()) == std::vector<std::string>{"run.lock"});
}

TEST_CASE("run lock: a fault while taking it leaves nothing behind", "[fault]") {
  TempFolder temp;
  set_file_operation_hook([](const char* operation, const fs::path& path) {
    if (std::string(operation) == "open" && path.filename() == "run.lock") throw Error(Code::io, "injected");
  });
  REQUIRE(error_of([&] { RunLock lock(temp.path()); }).message() == "injected");
  set_file_operation_hook(nullptr);
  REQUIRE(list_folder(temp.path()).empty());
  const RunLock lock(temp.path());
}

TEST_CASE("run lock: another process with the holder's number is not the holder", "[unit]") {
  TempFolder temp;
  Json content;
  {
    const RunLock lock(temp.path());
    content = parse_json(slurp(temp / "run.lock"), "run.lock");
  }
  REQUIRE(LockFile::owner_state(to_text(content)) == OwnerState::alive);
  Json reused = content;
  reused["start_time_ticks"] = reused["start_time_ticks"].get<uint64_t>() - 1;
  REQUIRE(LockFile::owner_state(to_text(reused)) == OwnerState::gone);
  Json elsewhere = content;
  elsewhere["boot_id"] = "another boot";
  REQUIRE(LockFile::owner_state(to_text(elsewhere)) == OwnerState::unknown);
  elsewhere = content;
  elsewhere["process_namespace"] = "pid:[1]";
  REQUIRE(LockFile::owner_state(to_text(elsewhere)) == OwnerState::unknown);
  for (const char* text : {"", "{", "[]", "{\"pid\": 1}", "{\"boot_id\": 3}"})
    REQUIRE(LockFile::owner_state(text) == OwnerState::unknown);
  spill(temp / "run.lock", to_text(reused));
  { const RunLock lock(temp.path()); }
}

TEST_CASE("run lock: a holder on another host is recognised by its beat", "[unit]") {
  TempFolder temp;
  Json content;
  {
    const RunLock lock(temp.path());
    content = parse_json(slurp(temp / "run.lock"), "run.lock");
  }
  content["boot_id"] = "another boot";
  content["host"] = "elsewhere";
  spill(temp / "run.lock", to_text(content));
  std::thread beat([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    content["beat"] = "000000000001";
    write_file(temp / "run.lock", to_text(content));
  });
  Captured log(STDERR_FILENO);
  const Error error = error_of([&] { RunLock lock(temp.path()); });
  beat.join();
  REQUIRE(error.message().find("on host elsewhere") != std::string::npos);
  REQUIRE(log.text().find("waiting up to 30 s") != std::string::npos);
}

TEST_CASE("run lock: a silent holder on another host is taken over after 30 s", "[slow]") {
  TempFolder temp;
  spill(temp / "run.lock",
        R"({"host": "elsewhere", "boot_id": "b", "pid": 1, "start_time_ticks": 1, "started": "t"})");
  const auto start = std::chrono::steady_clock::now();
  const RunLock lock(temp.path());
  REQUIRE(std::chrono::steady_clock::now() - start > std::chrono::seconds(29));
}

TEST_CASE("lock file: a beat shows in the content, and a lost lock is noticed and left alone", "[unit]") {
  TempFolder temp;
  const fs::path path = temp / "l";
  auto lock = LockFile::try_create(path);
  REQUIRE(lock);
  REQUIRE_FALSE(LockFile::try_create(path));
  const auto before = LockFile::read(path);
  lock->beat();
  const auto after = LockFile::read(path);
  REQUIRE(after->text != before->text);
  REQUIRE(parse_json(after->text, "l")["beat"] == "000000000001");
  fs::remove(path);
  REQUIRE_FALSE(lock->still_ours());
  auto other = LockFile::try_create(path);
  REQUIRE(other);
  lock->beat();
  lock.reset();
  REQUIRE(other->still_ours());
  REQUIRE(parse_json(slurp(path), "l")["beat"] == "000000000000");
  REQUIRE_FALSE(LockFile::read(temp / "absent"));
}

TEST_CASE("lock file: a stale lock is broken only if it is still the one that was seen", "[unit]") {
  TempFolder temp;
  const fs::path path = temp / "l";
  spill(path, "stale");
  const auto seen = LockFile::read(path);
  LockFile::break_stale(path, *seen);
  REQUIRE_FALSE(fs::exists(path));
  const auto lock = LockFile::try_create(path);
  LockFile::break_stale(path, *seen);
  REQUIRE(lock->still_ours());
  REQUIRE(list_folder(temp.path()) == std::vector<std::string>{"l"});
}

TEST_CASE("run lock: of many takers of a dead lock, in threads and processes, one at a time wins",
          "[fault]") {
  TempFolder temp;
  const fs::path folder = temp.path();
  end_child(start_child([&] { new RunLock(folder); }), SIGKILL);
  REQUIRE(fs::exists(folder / "run.lock"));
  // Each winner makes a file exclusively, holds the lock for a while and removes it: two winners would
  // collide.
  const auto compete = [folder](int rounds) {
    int wins = 0, collisions = 0;
    for (int i = 0; i < rounds; ++i) {
      try {
        const RunLock lock(folder);
        const auto inside = LockFile::try_create(folder / "inside");
        if (!inside) ++collisions;
        ++wins;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      } catch (const Error& error) {
        if (error.code() != Code::io) ++collisions;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    return std::pair(wins, collisions);
  };
  std::vector<pid_t> children;
  for (int p = 0; p < 4; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::atomic<int> wins{0}, collisions{0};
      std::vector<std::thread> threads;
      for (int t = 0; t < 2; ++t)
        threads.emplace_back([&] {
          const auto [w, c] = compete(40);
          wins += w;
          collisions += c;
        });
      for (auto& thread : threads) thread.join();
      ::_exit(collisions > 0 ? 2 : wins > 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  int winners = 0;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) != 2);
    winners += WEXITSTATUS(status) == 0 ? 1 : 0;
  }
  REQUIRE(winners > 0);
  const RunLock last(folder);
}
