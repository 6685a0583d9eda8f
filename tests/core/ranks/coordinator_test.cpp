// core/ranks/coordinator.h in both forms; the folder form between processes too.
#include "core/ranks/coordinator.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "core/files/files.h"
#include "core/json.h"
#include "core/ranks/lock_file.h"
#include "tests/core/ranks/coordinator_forms.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

void sleep_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

int exit_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace

TEST_CASE("coordinator: values are set, compared and kept apart", "[unit]") {
  with_each([](Coordinator& store) {
    REQUIRE_FALSE(store.get("a"));
    store.set("a", "1");
    REQUIRE(store.get("a") == "1");
    store.set("a", "");
    REQUIRE(store.get("a") == "");
    REQUIRE_FALSE(store.compare_and_set("a", "1", "2"));
    REQUIRE(store.compare_and_set("a", "", "2"));
    REQUIRE_FALSE(store.compare_and_set("a", std::nullopt, "3"));
    REQUIRE(store.get("a") == "2");
    REQUIRE_FALSE(store.compare_and_set("b", "x", "y"));
    REQUIRE(store.compare_and_set("b", std::nullopt, std::string("\0\n", 2)));
    REQUIRE(store.get("b") == std::string("\0\n", 2));
  });
}

TEST_CASE("coordinator: no two keys meet in one place", "[unit]") {
  with_each([](Coordinator& store) {
    const std::vector<std::string> keys = {"",
                                           ".",
                                           "..",
                                           "/",
                                           "a/b",
                                           "a_b",
                                           "a%2fb",
                                           "A",
                                           "a",
                                           "a.b",
                                           "a b",
                                           "step-1",
                                           "step-10",
                                           "a.value",
                                           "a.lock",
                                           "%empty",
                                           "\xff",
                                           "../a",
                                           std::string("a\0b", 3),
                                           std::string(300, 'x'),
                                           std::string(301, 'x'),
                                           "%sha-",
                                           "\n"};
    for (size_t i = 0; i < keys.size(); ++i) store.set(keys[i], std::to_string(i));
    for (size_t i = 0; i < keys.size(); ++i) REQUIRE(store.get(keys[i]) == std::to_string(i));
  });
}

TEST_CASE("coordinator: wait returns what another thread sets, or names the key", "[unit]") {
  with_each([](Coordinator& store) {
    std::thread later([&] {
      sleep_ms(100);
      store.set("late", "v");
    });
    REQUIRE(store.wait("late", 10) == "v");
    later.join();
    REQUIRE(store.wait("late", 0) == "v");
    const Error error = error_of([&] { store.wait("never", 0.05); });
    REQUIRE(error.code() == Code::distributed);
    REQUIRE(error.message().find("'never'") != std::string::npos);
  });
}

TEST_CASE("coordinator: leases exclude, renew, expire and are released", "[unit]") {
  with_each([](Coordinator& store) {
    REQUIRE(store.lease("k", "a", 0.3));
    REQUIRE_FALSE(store.lease("k", "b", 0.3));
    REQUIRE(store.lease("other", "b", 0.3));
    REQUIRE(store.lease("k", "a", 0.3));
    sleep_ms(200);
    REQUIRE(store.lease("k", "a", 0.3));  // renewed
    sleep_ms(200);
    REQUIRE_FALSE(store.lease("k", "b", 0.3));
    sleep_ms(200);
    REQUIRE(store.lease("k", "b", 60));
    store.release("k", "a");  // not the holder
    REQUIRE_FALSE(store.lease("k", "a", 1));
    store.release("k", "b");
    REQUIRE(store.lease("k", "a", 1));
    store.release("absent", "a");
    REQUIRE_FALSE(store.get("k"));
  });
}

TEST_CASE("coordinator: compare-and-set loses no update between threads", "[unit]") {
  with_each([](Coordinator& store) {
    store.set("n", "0");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          while (true) {
            const std::string old = *store.get("n");
            if (store.compare_and_set("n", old, std::to_string(std::stoi(old) + 1))) break;
          }
        }
      });
    for (auto& thread : threads) thread.join();
    REQUIRE(store.get("n") == "200");
  });
}

TEST_CASE("coordinator: a shared folder serves processes, and each item is taken once", "[fault]") {
  TempFolder temp;
  const auto store = make_folder_coordinator(temp.path());
  store->set("next", "0");
  std::vector<pid_t> children;
  for (int p = 0; p < 4; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const auto own = make_folder_coordinator(temp.path());
      while (true) {
        const std::string next = *own->get("next");
        if (next == "60") ::_exit(0);
        if (!own->compare_and_set("next", next, std::to_string(std::stoi(next) + 1))) continue;
        if (!own->compare_and_set("item/" + next, std::nullopt, "taken")) ::_exit(2);
      }
    }
    children.push_back(child);
  }
  for (const pid_t child : children) REQUIRE(exit_of(child) == 0);
  for (int i = 0; i < 60; ++i) REQUIRE(store->get("item/" + std::to_string(i)) == "taken");
}

TEST_CASE("coordinator: a process killed inside a change blocks nobody", "[fault]") {
  TempFolder temp;
  const auto store = make_folder_coordinator(temp.path());
  store->set("k", "old");
  const pid_t child = start_child([&] {
    auto* lock = new std::optional<LockFile>(LockFile::try_create(temp / "k.lock"));
    if (!*lock) throw Error(Code::internal, "the lock's name has changed");
  });
  end_child(child, SIGKILL);
  REQUIRE(fs::exists(temp / "k.lock"));
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(store->compare_and_set("k", "old", "new"));
  REQUIRE(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  REQUIRE(list_folder(temp.path()) == std::vector<std::string>{"k.value"});
}

TEST_CASE("coordinator: processes killed at random lose nothing that they were told is done", "[fault]") {
  TempFolder temp;
  const auto store = make_folder_coordinator(temp.path());
  store->set("n", "0");
  const auto count_up = [&temp] {
    const auto own = make_folder_coordinator(temp.path());
    while (true) {
      const std::string old = *own->get("n");
      own->compare_and_set("n", old, std::to_string(std::stoi(old) + 1));
    }
  };
  int last = 0;
  for (int round = 0; round < 15; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      count_up();
      ::_exit(0);
    }
    sleep_ms(5 + 3 * round);
    end_child(child, SIGKILL);
    const int now = std::stoi(*store->get("n"));
    REQUIRE(now >= last);
    last = now;
    REQUIRE(store->compare_and_set("n", std::to_string(now), std::to_string(now)));
  }
  REQUIRE(last > 0);
}

TEST_CASE("coordinator: a lease of a killed process expires", "[fault]") {
  TempFolder temp;
  const auto store = make_folder_coordinator(temp.path());
  end_child(start_child([&] {
              if (!make_folder_coordinator(temp.path())->lease("job", "child", 0.4))
                throw Error(Code::internal, "");
            }),
            SIGKILL);
  REQUIRE_FALSE(store->lease("job", "parent", 1));
  sleep_ms(500);
  REQUIRE(store->lease("job", "parent", 1));
}

TEST_CASE("coordinator: a damaged lease file is reported", "[unit]") {
  TempFolder temp;
  const auto store = make_folder_coordinator(temp.path());
  spill(temp / "k.lease", "{\"holder\": 3}");
  REQUIRE(error_of([&] { store->lease("k", "a", 1); }).code() == Code::corrupt);
}
