// Search: accepted means likelier, scores are those of the training's own tokens, and nothing is asked twice.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <set>

#include "core/error.h"
#include "synth/generate/fill_slots.h"
#include "synth/search/context.h"
#include "synth/search/gates.h"
#include "synth/search/search.h"
#include "synth/skeleton/skeleton.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

struct Run {
  Trajectory t;
  SearchResult result;
};

Run search(const SearchConfig& config, Scorer* judge = nullptr, ByteEngine* engine = nullptr) {
  const Repository r = make_repository();
  Run run{make_trajectory(r), {}};
  ByteEngine own;
  const auto scorer = make_local_scorer(engine ? *engine : own, byte_tokenizer(), 1 << 20);
  SearchOptions options;
  options.config = config;
  run.result =
      search_thoughts(run.t, r.snapshot, r.structure, *make_template_generator(), *scorer, judge, options);
  return run;
}

std::vector<Json> lines_of(const SearchResult& result) {
  std::vector<Json> out;
  for (const std::string& line : result.candidates) out.push_back(parse_json(line, "candidates.jsonl"));
  return out;
}

// Gives every thought the same likelihood, or the one that `better` says.
class FixedScorer : public Scorer {
 public:
  std::function<double(const std::string&)> nll = [](const std::string&) { return 10.0; };
  int calls = 0, thoughts = 0;
  std::string name() const override { return "fixed"; }
  std::vector<ScoreResult> score(const std::string&, const std::vector<std::string>& texts,
                                 const std::string&, const std::string& target) override {
    ++calls;
    std::vector<ScoreResult> out;
    for (const std::string& text : texts) {
      ++thoughts;
      const auto bytes = static_cast<int64_t>(target.size());
      out.push_back({nll(text), nll(text), bytes, bytes});
    }
    return out;
  }
};

SearchResult search_with(Scorer& scorer, const SearchConfig& config, Trajectory& t, Scorer* judge = nullptr) {
  const Repository r = make_repository();
  t = make_trajectory(r);
  SearchOptions options;
  options.config = config;
  return search_thoughts(t, r.snapshot, r.structure, *make_template_generator(), scorer, judge, options);
}

}  // namespace

TEST_CASE("how many candidates a search will ask for is known before a word is written", "[unit]") {
  const Repository r = make_repository();
  for (const int64_t max_slots : {0, 2}) {
    SearchOptions options;
    options.config.max_slots = max_slots;
    options.config.iterations = 2;
    Trajectory t = simulate(r.snapshot, r.structure, {});
    const int64_t expected = candidates_of(t, options.config);
    REQUIRE(expected > 0);
    const auto generator = make_template_generator();
    fill_slots(t, r.snapshot, r.structure, *generator, options.seed);
    REQUIRE(candidates_of(t, options.config) == expected);
    int64_t settled = 0;
    generator->settled = [&] { ++settled; };
    FixedScorer scorer;
    search_thoughts(t, r.snapshot, r.structure, *generator, scorer, nullptr, options);
    REQUIRE(settled == expected);
  }
}

TEST_CASE("an accepted thought makes the code likelier, and nothing else is chosen", "[unit]") {
  const Run run = search({});
  replay(run.t);
  REQUIRE(run.t.rev == make_rev(run.t));
  std::map<int, std::vector<Json>> slots;
  for (const Json& line : lines_of(run.result)) slots[line["slot"].get<int>()].push_back(line);
  int accepted = 0;
  for (const auto& [slot, lines] : slots) {
    double incumbent = lines[0]["score"]["nll"];
    std::string chosen = lines[0]["text"];
    REQUIRE(lines[0]["verdict"] == "initial");
    for (size_t i = 1; i < lines.size(); ++i) {
      REQUIRE(lines[i]["n"] == static_cast<int>(i));
      if (lines[i]["verdict"] == "accepted") {
        REQUIRE(lines[i]["score"]["nll"].get<double>() < incumbent);
        incumbent = lines[i]["score"]["nll"];
        chosen = lines[i]["text"];
      } else if (lines[i]["verdict"] == "rejected") {
        REQUIRE(lines[i]["score"]["nll"].get<double>() >= incumbent);
      }
    }
    const Slot& s = run.t.slots[static_cast<size_t>(slot)];
    REQUIRE(s.chosen == chosen);
    accepted += s.chosen != s.initial;
    REQUIRE(s.initial == lines[0]["text"]);
  }
  REQUIRE(accepted > 0);
  const Json& summary = run.result.summary;
  REQUIRE(summary["accepted"] == accepted);
  REQUIRE(summary["scorer"]["gain_nats"].get<double>() > 0);
  REQUIRE(summary["scorer"]["gain_nats"].get<double>() ==
          Catch::Approx(summary["scorer"]["nll_initial"].get<double>() -
                        summary["scorer"]["nll_chosen"].get<double>()));
  int64_t all = 0;
  for (const auto& [verdict, count] : summary["verdicts"].items()) all += count.get<int64_t>();
  REQUIRE(all == static_cast<int64_t>(run.result.candidates.size()));
}

TEST_CASE("the search repeats byte for byte", "[unit]") {
  const Run one = search({}), two = search({});
  REQUIRE(one.t.rev == two.t.rev);
  REQUIRE(one.result.candidates == two.result.candidates);
}

TEST_CASE("ties keep the incumbent", "[unit]") {
  FixedScorer scorer;
  Trajectory t;
  const auto result = search_with(scorer, {}, t);
  for (const Slot& slot : t.slots) REQUIRE(slot.chosen == slot.initial);
  REQUIRE(result.summary["accepted"] == 0);
  REQUIRE(result.summary["kept_initial"] == result.summary["searched"]);
}

TEST_CASE("the paper's cost: seven scorings a thought, prefixes prefilled once a batch", "[unit]") {
  FixedScorer scorer;
  Trajectory t;
  const auto result = search_with(scorer, {}, t);
  const int64_t searched = result.summary["searched"];
  const int64_t duplicates = get_or<int64_t>(result.summary["verdicts"], "duplicate", 0, "verdicts");
  REQUIRE(scorer.thoughts == 7 * searched - duplicates);
  REQUIRE(scorer.calls <= 3 * searched);
}

TEST_CASE("max_slots spreads the search over the repository and says what it left", "[unit]") {
  FixedScorer scorer;
  Trajectory t;
  SearchConfig config;
  config.max_slots = 3;
  const auto result = search_with(scorer, config, t);
  REQUIRE(result.summary["searched"] == 3);
  REQUIRE(result.summary["not_searched"]["max_slots"].get<int64_t>() ==
          result.summary["thoughts"].get<int64_t>() - 3);
  std::set<int> slots;
  for (const Json& line : lines_of(result)) slots.insert(line["slot"].get<int>());
  REQUIRE(slots.size() == 3);
}

TEST_CASE("a likelihood that is not finite ends the search with an error", "[unit]") {
  FixedScorer scorer;
  scorer.nll = [](const std::string&) { return std::nan(""); };
  Trajectory t;
  REQUIRE_THROWS_AS(search_with(scorer, {}, t), Error);
}

TEST_CASE("the judge measures first drafts against chosen texts after the search", "[unit]") {
  ByteEngine engine;
  const auto judge = make_local_scorer(engine, byte_tokenizer(false), 1 << 20);
  const Run with = search({}, judge.get()), without = search({});
  REQUIRE(with.t.rev == without.t.rev);
  REQUIRE(with.result.candidates == without.result.candidates);
  const Json summary = finished_search_summary(with.result.summary);
  REQUIRE(summary["judge"]["thoughts"] == summary["accepted"]);
  REQUIRE(summary["judge"]["target_bytes"] == summary["scorer"]["target_bytes"]);
  REQUIRE(summary["judge"]["gain_nats_per_byte"].get<double>() != 0);
}

TEST_CASE("the leak meter stands beside every scored candidate", "[unit]") {
  for (const Json& line : lines_of(search({}).result)) {
    REQUIRE(line["gates"].contains("copy_discounted_nats") == line.contains("score"));
    if (line["n"] == 0) REQUIRE(line["gates"]["ppm_gain_nats"] == 0.0);
  }
  SearchConfig config;
  config.leak_meter = "none";
  for (const Json& line : lines_of(search(config).result))
    REQUIRE_FALSE(line["gates"].contains("ppm_gain_nats"));
}

TEST_CASE("gates see what is copied from the code, and not what the context shows", "[unit]") {
  const std::string line = "    return os.path.join('sample', table_name, other, and_more)";
  const std::string code = "def f(table_name):\n" + line + "\n";
  REQUIRE(measure_overlap("I write:\n" + line, code, "").verbatim_lines == 1);
  REQUIRE(measure_overlap("I write:\n" + line, code, "seen before: " + line).verbatim_lines == 0);
  const std::string grams = "return os . path . join ( ' sample ' , table_name ,";
  REQUIRE(measure_overlap(grams, code, "").ngram13 == 1.0);
  REQUIRE(measure_overlap(grams, code, grams).ngram13 == 0.0);
  REQUIRE(measure_overlap("A short thought.", code, "").ngram13 == 0.0);
}

TEST_CASE("guarded: drops what does not beat having no thought, and refuses copies unscored", "[unit]") {
  SearchConfig config;
  config.preset = "guarded";
  FixedScorer flat;
  Trajectory t;
  const auto dropped = search_with(flat, config, t);
  replay(t);
  REQUIRE(dropped.summary["dropped_thoughts"] == dropped.summary["searched"]);
  for (const Slot& slot : t.slots)
    if (t.steps[static_cast<size_t>(slot.step)].kind == Kind::think)
      REQUIRE(slot.drop == "no_gain_over_none");

  FixedScorer fond;  // any thought is worth a lot, and longer ones a little more
  fond.nll = [](const std::string& text) {
    return text.empty() ? 500.0 : 100.0 - 0.001 * double(text.size());
  };
  const auto kept = search_with(fond, config, t);
  REQUIRE(kept.summary["dropped_thoughts"] == 0);
  REQUIRE(kept.summary["accepted"] == 0);  // a milli-nat a byte does not pay the charge
  REQUIRE(get_or<int64_t>(kept.summary["verdicts"], "charge", 0, "v") > 0);

  fond.nll = [](const std::string& text) { return text.empty() ? 500.0 : 100.0 - 0.1 * double(text.size()); };
  config.max_ngram13 = 0;
  const auto gated = search_with(fond, config, t);
  REQUIRE(gated.summary["accepted"].get<int64_t>() > 0);
  for (const Json& line : lines_of(gated))
    if (line["verdict"] == "accepted")
      REQUIRE((line["gates"]["verbatim_lines"] == 0 && line["gates"]["ngram13"] == 0.0));
    else if (line["verdict"] == "leak")
      REQUIRE_FALSE(line.contains("score"));
}

TEST_CASE("a score belongs to its prefix: an earlier slot that changes makes it stale", "[unit]") {
  const Repository r = make_repository();
  Trajectory t = make_trajectory(r);
  const auto places = thought_places(t, 4096);
  const auto hash = [&](size_t place, bool none = false) {
    ContextWalk walk(t, "plain");
    walk.go_to(places[place]);
    return walk.hash(none);
  };
  const std::string before = hash(3), first = hash(0);
  REQUIRE(before == hash(3));
  REQUIRE(before != hash(3, true));
  t.slots[static_cast<size_t>(places[1].slot)].chosen += " Changed.";
  REQUIRE(hash(3) != before);
  REQUIRE(hash(0) == first);
}

TEST_CASE("targets are windows of the write that follows", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  for (const ThoughtPlace& place : thought_places(t, 100)) {
    const Step& write = t.steps[static_cast<size_t>(place.write)];
    REQUIRE(write.agent == t.steps[static_cast<size_t>(place.step)].agent);
    REQUIRE(place.target.begin == write.body.begin);
    REQUIRE(place.target.end <= write.body.end);
    REQUIRE(place.target.end - place.target.begin <= 100);
  }
}
