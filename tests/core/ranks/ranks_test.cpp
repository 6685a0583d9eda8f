// core/ranks/ranks.h, with one thread a rank. Catch2's assertions are not thread-safe: a rank says what it
// saw by throwing, or in the test's variables.
#include "core/ranks/ranks.h"

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <thread>

#include "core/clock.h"
#include "tests/core/ranks/coordinator_forms.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

// What each rank threw, "" if nothing.
std::vector<std::string> run_ranks(int size, Coordinator& store,
                                   const std::function<void(const Ranks&)>& work) {
  std::vector<std::string> thrown(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      std::string& text = thrown[static_cast<size_t>(rank)];
      try {
        work(Ranks{rank, size, &store});
      } catch (const Error& error) {
        text = std::string(code_name(error.code())) + ": " + error.what();
      } catch (const std::exception& error) {
        text = error.what();
      }
    });
  for (auto& thread : threads) thread.join();
  return thrown;
}

// A REQUIRE for a rank's thread: run_ranks returns what was not so.
void expect(bool so, const std::string& what) {
  if (!so) throw std::runtime_error("not so: " + what);
}

}  // namespace

TEST_CASE("ranks: the first does the work, all share the outcome", "[dist]") {
  with_each([](Coordinator& store) {
    std::atomic<int> calls{0};
    for (const auto& text : run_ranks(3, store, [&](const Ranks& ranks) {
           first_rank_does(ranks, "good", 10, [&] { ++calls; });
           expect(calls == 1, "the work is done once, before any rank goes on");
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
        expect(error.status() == 143, "the status tells the signal");
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
      sleep_s(0.02 * ranks.rank);
      ++arrived;
      meet(ranks, "start", 10);
      expect(arrived == 4, "no rank goes on before all have arrived");
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

TEST_CASE("ranks: texts are gathered in rank order, on the first rank or on all", "[dist]") {
  with_each([](Coordinator& store) {
    const std::vector<std::string> all = {"0", "", "2"};
    const auto thrown = run_ranks(3, store, [&](const Ranks& ranks) {
      const std::string mine = all[static_cast<size_t>(ranks.rank)];
      expect(gather_texts(ranks, "all", 10, mine) == all, "every rank has every text");
      const auto gathered = gather_texts_on_first(ranks, "first", 10, mine);
      expect(gathered == (ranks.first() ? all : std::vector<std::string>{}), "only rank 0 has them");
      const std::string text =
          broadcast_text(ranks, "told", 10, [&] { return fmt::format("by {}", ranks.rank); });
      expect(text == "by 0", "rank 0 makes the text");
    });
    REQUIRE(thrown == std::vector<std::string>(3));
  });
  REQUIRE(gather_texts(Ranks{}, "a", 0, "x") == std::vector<std::string>{"x"});
  REQUIRE(gather_texts_on_first(Ranks{}, "b", 0, "x") == std::vector<std::string>{"x"});
  REQUIRE(broadcast_text(Ranks{}, "c", 0, [] { return "x"; }) == "x");
}

TEST_CASE("ranks: all hear the first failure, and who differs from the first rank in what", "[dist]") {
  with_each([](Coordinator& store) {
    const auto thrown = run_ranks(3, store, [&](const Ranks& ranks) {
      expect(first_failure(ranks, "good", 10, "").empty(), "nothing failed");
      const std::string mine = ranks.first() ? "" : fmt::format("rank {} failed", ranks.rank);
      expect(first_failure(ranks, "bad", 10, mine) == "rank 1 failed", "the first by rank");
      expect(find_disagreement(ranks, "same", 10, {{"recipe", "r"}}).empty(), "all agree");
      const std::string recipe = ranks.rank == 1 ? "other" : "r", data = ranks.rank == 0 ? "d" : "e";
      expect(find_disagreement(ranks, "other", 10, {{"data", data}, {"recipe", recipe}}) ==
                 "rank 1 has another data; rank 1 has another recipe; rank 2 has another data",
             "by rank, then by name");
    });
    REQUIRE(thrown == std::vector<std::string>(3));
  });
  REQUIRE(first_failure(Ranks{}, "x", 0, "mine") == "mine");
  REQUIRE(find_disagreement(Ranks{}, "x", 0, {{"a", "b"}}).empty());
}

TEST_CASE("ranks: a wait is given up by what while_waiting throws, and times out without it", "[dist]") {
  const auto store = make_in_process_coordinator();
  Ranks ranks{1, 2, store.get()};
  int asked = 0;
  ranks.while_waiting = [&] {
    if (++asked == 3) throw Error(Code::interrupted, "given up");
  };
  const auto wait = [&](double timeout_s) { broadcast_text(ranks, "k", timeout_s, [] { return ""; }); };
  REQUIRE(error_of([&] { wait(60); }).code() == Code::interrupted);
  REQUIRE(asked == 3);
  const Error late = error_of([&] { wait(0.02); });
  REQUIRE(late.code() == Code::distributed);
  REQUIRE(late.message().find("'k'") != std::string::npos);
  store->set("k", "here");
  wait(0);
}
