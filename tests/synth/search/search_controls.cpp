// What the search's gains are measured against: no thought, thoughts of other steps, another judge, the other
// preset; and the tokens that it takes.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <set>

#include "synth/search/contrast.h"
#include "synth/search/controls.h"
#include "synth/search/search.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

struct Run {
  Trajectory t;
  SearchResult result;
  Json summary;
};

Run search(SearchConfig config, bool keeps_prefix = true, Scorer* judge = nullptr) {
  const Repository r = make_repository();
  Run run{make_trajectory(r), {}, {}};
  ByteEngine engine;
  engine.keeps_prefix = keeps_prefix;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 1 << 20);
  SearchOptions options;
  options.config = std::move(config);
  run.result =
      search_thoughts(run.t, r.snapshot, r.structure, *make_template_generator(), *scorer, judge, options);
  Json total = empty_search_summary();
  add_search_summary(total, run.result.summary);
  run.summary = finished_search_summary(std::move(total));
  return run;
}

SearchConfig with_controls(const std::string& preset) {
  SearchConfig config;
  config.preset = preset;
  config.controls = true;
  return config;
}

std::vector<Json> lines_with(const Run& run, const char* key) {
  std::vector<Json> out;
  for (const std::string& line : run.result.candidates) {
    Json json = parse_json(line, "candidates.jsonl");
    if (json.contains(key)) out.push_back(std::move(json));
  }
  return out;
}

}  // namespace

TEST_CASE("shuffled thoughts come from other steps and have the same number of tokens", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 1 << 20);
  int thoughts = 0;
  std::set<std::string> all;
  for (size_t i = 0; i < t.slots.size(); ++i) {
    const Slot& slot = t.slots[i];
    if (t.steps[static_cast<size_t>(slot.step)].kind != Kind::think) continue;
    const auto tokens = scorer->count_tokens(slot.chosen);
    const std::string other = shuffled_thought(t, static_cast<int>(i), tokens, 1, *scorer);
    REQUIRE(scorer->count_tokens(other) == tokens);
    REQUIRE(other != slot.chosen);
    REQUIRE(other == shuffled_thought(t, static_cast<int>(i), tokens, 1, *scorer));
    const std::string front = other.substr(0, std::min<size_t>(40, other.size()));
    bool elsewhere = false;
    for (size_t k = 0; k < t.slots.size(); ++k)
      elsewhere = elsewhere || (k != i && t.slots[k].chosen.starts_with(front));
    REQUIRE(elsewhere);
    all.insert(other);
    ++thoughts;
  }
  REQUIRE(thoughts > 4);
  REQUIRE(all.size() > 2);
  // Longer than all others together: what there is.
  const std::string most = shuffled_thought(t, 3, 1 << 20, 1, *scorer);
  REQUIRE(!most.empty());
}

TEST_CASE("a contrast is a ratio of sums with the standard error of a ratio", "[unit]") {
  const double gains[] = {3, -1, 4, 0.5};
  const int64_t bytes[] = {100, 40, 80, 60};
  Json one, two;
  for (int i = 0; i < 4; ++i)
    add_contrast(i < 2 ? one : two, {10, 10, 5, bytes[i]}, {10 - gains[i], 10, 5, bytes[i]});
  Json total = empty_search_summary();
  add_search_summary(total, {{"controls", {{"scorer", {{"x", one}}}}}});
  add_search_summary(total, {{"controls", {{"scorer", {{"x", two}}}}}});
  const Json c = finished_search_summary(total)["controls"]["scorer"]["x"];
  REQUIRE(c["thoughts"] == 4);
  REQUIRE(c["likelier"] == 3);
  const double ratio = 6.5 / 280;
  REQUIRE(c["nats_per_byte"].get<double>() == Catch::Approx(ratio));
  double squares = 0;
  for (int i = 0; i < 4; ++i) squares += std::pow(gains[i] - ratio * static_cast<double>(bytes[i]), 2);
  REQUIRE(c["standard_error"].get<double>() == Catch::Approx(std::sqrt(squares * 4 / 3) / 280));
}

TEST_CASE("controls: every arm of every place, for scorer and judge, and nothing else changes", "[unit]") {
  const auto judge = make_ppm_scorer();
  const Run plain = search({}), run = search(with_controls("paper"), true, judge.get());
  REQUIRE(run.t.rev == plain.t.rev);
  const auto places = lines_with(run, "controls");
  const int64_t searched = run.summary["searched"];
  REQUIRE(static_cast<int64_t>(places.size()) == searched);
  REQUIRE(run.result.candidates.size() == plain.result.candidates.size() + places.size());
  for (const char* model : {"scorer", "judge"}) {
    double gain = 0, over_shuffled = 0;
    for (const Json& line : places) {
      const Json& nats = line["controls"][model];
      gain += nats["none"].get<double>() - nats["chosen"].get<double>();
      over_shuffled += nats["shuffled"].get<double>() - nats["chosen"].get<double>();
    }
    const Json& contrasts = run.summary["controls"][model];
    REQUIRE(contrasts["chosen over none"]["thoughts"] == searched);
    REQUIRE(contrasts["chosen over none"]["gain_nats"].get<double>() == Catch::Approx(gain));
    REQUIRE(contrasts["chosen over shuffled"]["gain_nats"].get<double>() == Catch::Approx(over_shuffled));
    REQUIRE(contrasts["chosen over none"]["standard_error"].get<double>() > 0);
  }
  // Each text alone, with the scorer and the contexts that training will see, gives the same nats.
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 1 << 20);
  ContextWalk walk(run.t, "plain");
  size_t at = 0;
  for (const ThoughtPlace& place :
       thought_places(run.t, static_cast<uint64_t>(SearchConfig().target_bytes))) {
    const Json& line = places.at(at++);
    REQUIRE(line["slot"] == place.slot);
    walk.go_to(place);
    ScoreRequest request = walk.request();
    request.thoughts = {run.t.slots[static_cast<size_t>(place.slot)].chosen,
                        get<std::string>(line, "shuffled", "line")};
    const auto results = scorer->score_segments(request);
    REQUIRE(results[0].nll == line["controls"]["scorer"]["chosen"].get<double>());
    REQUIRE(results[1].nll == line["controls"]["scorer"]["shuffled"].get<double>());
  }
  const Json& shuffled = run.summary["controls"]["shuffled"];
  REQUIRE(shuffled["tokens_of_shuffled"] == shuffled["tokens_of_chosen"]);
  REQUIRE(run.summary["judge"]["thoughts"] == run.summary["accepted"]);
}

TEST_CASE("both presets decide on the same candidates, and the guarded one's refusals have reasons",
          "[unit]") {
  SearchConfig config = with_controls("paper");
  config.length_charge = 0.5;
  config.max_ngram13 = 0;
  const Run run = search(config);
  const Json &paper = run.summary["presets"]["paper"], &guarded = run.summary["presets"]["guarded"];
  REQUIRE(paper["accepted"] == run.summary["accepted"]);
  const auto outcomes = [](const Json& p) {
    return p["accepted"].get<int64_t>() + p["kept_initial"].get<int64_t>() +
           p["dropped_thoughts"].get<int64_t>();
  };
  REQUIRE(outcomes(paper) == run.summary["searched"].get<int64_t>());
  REQUIRE(outcomes(guarded) == run.summary["searched"].get<int64_t>());
  REQUIRE(guarded["accepted"].get<int64_t>() < paper["accepted"].get<int64_t>());
  int64_t charged = 0;
  for (const Json& line : lines_with(run, "verdict_guarded")) {
    REQUIRE(!line["verdict_guarded"].get<std::string>().empty());
    charged += line["verdict_guarded"] == "charge";
  }
  REQUIRE(charged > 0);
  REQUIRE(guarded["verdicts"]["charge"] == charged);
  int64_t listed = 0;
  for (const Json& r : run.summary["guarded_rejections"]) {
    if (r["reason"] != "charge") continue;
    ++listed;
    REQUIRE(r["gain_nats"].get<double>() > 0);
    REQUIRE(r["gain_nats"].get<double>() <= r["needed_nats"].get<double>());
  }
  REQUIRE(listed > 0);
  REQUIRE(run.summary["guarded_rejections"].size() <= 40);  // of a repository; all are counted
  REQUIRE(listed <= charged);
}

TEST_CASE("controls under the guarded preset: leaks are scored for the other one, and still not chosen",
          "[unit]") {
  SearchConfig config = with_controls("guarded");
  config.length_charge = 0;
  const Run with = search(config);
  config.controls = false;
  const Run without = search(config);
  REQUIRE(with.t.rev == without.t.rev);
  REQUIRE(with.summary["presets"]["guarded"]["accepted"] == with.summary["accepted"]);
  REQUIRE(with.summary["presets"]["guarded"]["dropped_thoughts"] == with.summary["dropped_thoughts"]);
  for (const Json& line : lines_with(with, "verdict"))
    if (line["verdict"] == "leak") REQUIRE(line.contains("score"));
}

TEST_CASE("a candidate costs at most 1.05 times its thought and target, what stands between apart",
          "[unit]") {
  for (const char* preset : {"paper", "guarded"})
    for (const bool controls : {false, true}) {
      SearchConfig config;
      config.preset = preset;
      config.controls = controls;
      const Json work = search(config).summary["work"];
      REQUIRE(work["candidates"].get<int64_t>() > 0);
      REQUIRE(work["ratio"].get<double>() <= 1.05);
      REQUIRE(work["ratio"].get<double>() >= 0.95);
      // An engine that computed the prefix in every call would be found out.
      REQUIRE(search(config, false).summary["work"]["ratio"].get<double>() > 1.5);
    }
}
