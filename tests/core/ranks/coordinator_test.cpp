// core/ranks/coordinator.h and core/ranks/ranks.h, in both forms; the folder form between processes too.
#include "core/ranks/coordinator.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "core/files/files.h"
#include "core/json.h"
#include "core/ranks/lock_file.h"
#include "core/ranks/ranks.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

// Runs `check` with each form.
void with_each(const std::function<void(Coordinator&)>& check) {
  const auto in_process = make_in_process_coordinator();
  check(*in_process);
  TempFolder temp;
  const auto folder = make_folder_coordinator(temp / "store");
  check(*folder);
}

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

namespace {

// One thread a rank; returns what each rank threw, "" if nothing.
std::vector<std::string> run_ranks(int size, Coordinator& store,
                                   const std::function<void(const Ranks&)>& work) {
  std::vector<std::string> thrown(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        work(Ranks{rank, size, &store});
      } catch (const Error& error) {
        thrown[static_cast<size_t>(rank)] = std::string(code_name(error.code())) + ": " + error.what();
      }
    });
  for (auto& thread : threads) thread.join();
  return thrown;
}

}  // namespace

TEST_CASE("ranks: the first does the work, all share the outcome", "[dist]") {
  with_each([](Coordinator& store) {
    std::atomic<int> calls{0};
    for (const auto& text : run_ranks(3, store, [&](const Ranks& ranks) {
           first_rank_does(ranks, "good", 10, [&] { ++calls; });
           REQUIRE(calls == 1);
         }))
      REQUIRE(text.empty());
    const auto thrown = run_ranks(3, store, [&](const Ranks& ranks) {
      first_rank_does(ranks, "bad", 10, [&] {
        Error error(Code::corrupt, "broken", "mend it", "a.json:1");
        throw error;
      });
    });
    for (const auto& text : thrown) REQUIRE(text == "corrupt: a.json:1: broken\n  hint: mend it");
    const auto stopped = run_ranks(2, store, [&](const Ranks& ranks) {
      try {
        first_rank_does(ranks, "stopped", 10, [&] {
          Error error(Code::interrupted, "stopped");
          error.signal = SIGTERM;
          throw error;
        });
      } catch (const Error& error) {
        REQUIRE(error.status() == 143);
        throw;
      }
    });
    REQUIRE(stopped == std::vector<std::string>(2, "interrupted: stopped"));
  });
  std::atomic<int> alone{0};
  first_rank_does(Ranks{}, "x", 1, [&] { ++alone; });
  REQUIRE(alone == 1);
}

TEST_CASE("ranks: other exceptions reach all ranks as internal errors", "[dist]") {
  const auto store = make_in_process_coordinator();
  const auto thrown = run_ranks(2, *store, [](const Ranks& ranks) {
    try {
      first_rank_does(ranks, "k", 10, [] { throw std::runtime_error("surprise"); });
    } catch (const std::runtime_error& error) {
      throw Error(Code::internal, error.what());
    }
  });
  REQUIRE(thrown == std::vector<std::string>(2, "internal: surprise"));
}

TEST_CASE("ranks: a meeting ends when all are there, or names who is missing to everybody", "[dist]") {
  with_each([](Coordinator& store) {
    std::atomic<int> arrived{0};
    const auto thrown = run_ranks(4, store, [&](const Ranks& ranks) {
      sleep_ms(20 * ranks.rank);
      ++arrived;
      meet(ranks, "start", 10);
      REQUIRE(arrived == 4);
    });
    REQUIRE(thrown == std::vector<std::string>(4));
    const auto late = run_ranks(4, store, [&](const Ranks& ranks) {
      if (ranks.rank == 1 || ranks.rank == 3) return;
      meet(ranks, "late", 0.2);
    });
    for (size_t rank : {0U, 2U}) {
      REQUIRE(late[rank].starts_with("distributed: "));
      REQUIRE(late[rank].find("ranks 1, 3 did not come to 'late'") != std::string::npos);
    }
  });
  meet(Ranks{}, "alone", 0);
}

TEST_CASE("ranks: a missing first rank is named", "[dist]") {
  const auto store = make_in_process_coordinator();
  const Error meeting = error_of([&] { meet(Ranks{1, 2, store.get()}, "k", 0.01); });
  REQUIRE(meeting.code() == Code::distributed);
  REQUIRE(meeting.message().find("rank 0 did not come to 'k'") != std::string::npos);
  const Error outcome = error_of([&] { first_rank_does(Ranks{1, 2, store.get()}, "w", 0.05, [] {}); });
  REQUIRE(outcome.code() == Code::distributed);
  REQUIRE(outcome.message().find("rank 0 did not finish 'w'") != std::string::npos);
}
