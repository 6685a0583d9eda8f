// One budget for all ranks and for the repositories that each makes at once: reserved before a request is
// sent, settled after, never passed by their sum.
#include <catch2/catch_test_macros.hpp>
#include <numeric>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/recipe/run_config.h"
#include "model/endpoint/budget.h"
#include "synth/config.h"
#include "synth/record/store.h"
#include "tests/shared/http_server.h"
#include "tests/synth/memory_sources.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using model::Budget;
using model::BudgetLimits;
using model::Usage;
using namespace retrace::synth::handmade;
using namespace retrace::tests;

namespace {

constexpr int kPromptTokens = 700, kAnswerTokens = 60;

const std::vector<Snapshot>& snapshots() {
  static const std::vector<Snapshot> all = {
      make_repository("alpha").snapshot, make_repository("beta").snapshot, make_repository("gamma").snapshot,
      make_repository("delta").snapshot, make_repository("epsilon").snapshot};
  return all;
}

Recipe recipe_for(const std::string& url, const std::vector<Override>& overrides = {}) {
  static const Schema schema =
      Schema::of<RunConfig, SynthConfig, SearchConfig, GeneratorConfig, ScorerConfig, HygieneConfig>();
  Recipe recipe(schema);
  for (const Override& o : std::vector<Override>{{"synth.generator", "http"},
                                                 {"synth.read_budget_kib", "1"},
                                                 {"run.timeout_s", "60"},
                                                 {"generator.endpoints", "[\"" + url + "\"]"},
                                                 {"generator.model", "small"},
                                                 {"generator.max_tokens", "100"}})
    recipe.set(o);
  for (const Override& o : overrides) recipe.set(o);
  return recipe;
}

struct Crew {
  int ranks, workers;  // workers: repositories at once on each rank
};

// What each rank ended with: 0, or an exit status.
std::vector<int> run_ranks(const Crew& crew, const fs::path& out, const Recipe& recipe) {
  const int n_ranks = crew.ranks;
  const auto coordinator = make_in_process_coordinator();
  std::vector<int> statuses(static_cast<size_t>(n_ranks), 0);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < n_ranks; ++rank)
    threads.emplace_back([&, rank] {
      SynthJob job;
      job.out = out;
      slice_of_snapshots(&job, snapshots(), {0, 1, 2, 3, 4});
      job.ranks = {rank, n_ranks, coordinator.get()};
      if (crew.workers > 1) job.workers.resize(static_cast<size_t>(crew.workers));
      try {
        run_synthesis(recipe, job);
      } catch (const Error& error) {
        statuses[static_cast<size_t>(rank)] = error.status();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

LoopbackServer::Handler metered() {
  return [](const Received& r, Connection& c) {
    c.pause(0.002);
    c.ok(chat_answer(fmt::format("I will take care of part {}.", std::hash<std::string>()(r.body) % 1000003),
                     kPromptTokens, kAnswerTokens));
  };
}

int64_t charged(const LoopbackServer& server) {
  return static_cast<int64_t>(server.received().size()) * (kPromptTokens + kAnswerTokens);
}

}  // namespace

TEST_CASE("a budget says what fits, what may fit later, and what never will", "[unit]") {
  const auto coordinator = make_in_process_coordinator();
  const BudgetLimits limits = {1000, 0, 0, 0};
  Budget one(limits, coordinator.get(), "b"), two(limits, coordinator.get(), "b");
  one.start({100, 0});
  using Room = Budget::Room;
  REQUIRE(one.reserve({500, 100}) == Room::fits);
  REQUIRE(two.reserve({400, 0}) == Room::later);  // beside what the other has under way
  REQUIRE(two.reserve({900, 1}) == Room::never);
  REQUIRE(two.reserve({300, 0}) == Room::fits);
  one.settle({500, 100}, {50, 50});
  REQUIRE(two.reserve({400, 0}) == Room::fits);
  two.settle({300, 0}, {300, 0});
  two.settle({400, 0}, {400, 0});
  REQUIRE(one.reserve({100, 0}) == Room::fits);  // 900 are spent
  REQUIRE(two.reserve({1, 0}) == Room::later);
  one.settle({100, 0}, {});
  REQUIRE(one.reserve({101, 0}) == Room::never);
  Budget dear({0, 0.01, 10, 20}, coordinator.get(), "c");
  dear.start({});
  REQUIRE(dear.reserve({1000, 1}) == Room::never);
  REQUIRE(dear.reserve({400, 300}) == Room::fits);
  REQUIRE(dear.reserve({1, 0}) == Room::later);
}

TEST_CASE("ranks and repositories at once share one budget of tokens or money: their sum never passes it",
          "[dist]") {
  const TempFolder calm;
  std::map<std::string, std::string> expected;
  {
    const LoopbackServer server(metered());
    REQUIRE(run_ranks({1, 1}, calm.path(), recipe_for(server.url())) == std::vector<int>{0});
    expected = results_in(calm.path());
    expected.erase("evidence.db");
  }
  for (const Crew crew : {Crew{2, 1}, Crew{3, 1}, Crew{1, 3}, Crew{2, 2}}) {
    for (const bool money : {false, true}) {
      const TempFolder folder;
      const LoopbackServer server(metered());
      const int64_t limit = 30000;  // tokens; at 10 dollars a million, 0.3
      std::vector<Override> keys = {{"generator.budget_tokens", std::to_string(limit)}};
      if (money)
        keys = {{"generator.budget_usd", "0.3"},
                {"generator.usd_per_million_input", "10"},
                {"generator.usd_per_million_output", "10"}};
      INFO(crew.ranks << " ranks, " << crew.workers << " workers, " << (money ? "money" : "tokens"));
      for (const int status : run_ranks(crew, folder.path(), recipe_for(server.url(), keys)))
        REQUIRE(status == 4);
      REQUIRE(charged(server) <= limit);
      REQUIRE(charged(server) > limit / 2);
      const size_t before = server.received().size();
      // What is spent counts in the next start too, and nothing of it is asked again.
      for (const int status : run_ranks(crew, folder.path(), recipe_for(server.url(), keys)))
        REQUIRE(status == 4);
      REQUIRE(charged(server) <= limit);
      run_ranks(crew, folder.path(), recipe_for(server.url()));
      auto files = results_in(folder.path());
      files.erase("evidence.db");
      REQUIRE(files == expected);
      size_t slots = 0;
      for_each_trajectory(folder.path(), [&](const Trajectory& t) { slots += t.slots.size(); });
      REQUIRE(server.received().size() == slots);
      REQUIRE(before < slots);
    }
  }
}
