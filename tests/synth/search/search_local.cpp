// The local scorer: forced boundaries, one prefill, every target token, and a stated cut.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include "core/error.h"
#include "synth/record/render.h"
#include "synth/search/context.h"
#include "synth/search/scorer.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

using Ids = std::vector<int32_t>;

data::Segment text(std::string bytes, Kind kind = Kind::think) {
  return {std::move(bytes), "", 0, kind};
}
data::Segment control(std::string name) {
  return {"", std::move(name), 0, Kind::frame};
}

}  // namespace

TEST_CASE("a candidate costs its thought, the close and the target, the prefix once", "[unit]") {
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 1 << 20);
  const std::string prefix(20000, 'p'), target(3000, 't');
  const std::vector<std::string> thoughts = {std::string(200, 'a'), std::string(300, 'b'),
                                             std::string(250, 'c')};
  const std::string close = "\n\nAction: Write x\n";
  scorer->score(prefix, thoughts, close, target);
  int64_t own = 0;
  for (const std::string& thought : thoughts) own += static_cast<int64_t>(thought.size() + target.size());
  const int64_t prefilled = static_cast<int64_t>(prefix.size()) + 1;
  REQUIRE(engine.tokens_computed() - prefilled <= own * 105 / 100);
  REQUIRE(engine.tokens_computed() - prefilled >= own);
  scorer->score(prefix, thoughts, close, target);  // the next iteration: the same prefix
  const ScoreWork work = scorer->take_work();
  REQUIRE(work.candidates == 6);
  REQUIRE(work.own == 2 * own);
  REQUIRE(work.between == 6 * static_cast<int64_t>(close.size()));
  REQUIRE(work.prefixes == prefilled);
  REQUIRE(work.computed == engine.tokens_computed());
  REQUIRE(scorer->take_work().candidates == 0);
}

TEST_CASE("no thought is scored beside the thoughts, from the same prefix, as if the step were left out",
          "[unit]") {
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 1 << 20);
  const std::vector<data::Segment> prefix = {text("before. ")}, open = {text("[think]", Kind::frame)},
                                   close = {text("[end]", Kind::frame), text("Write x\n", Kind::frame)};
  ScoreRequest request;
  request.prefix = prefix;
  request.open = open;
  request.close = close;
  request.closing = 1;
  request.thoughts = {"a thought"};
  request.target = "before. now";
  request.none = true;
  const auto results = scorer->score_segments(request);
  REQUIRE(results.size() == 2);
  std::string with, without;
  for (int32_t id : engine.last_continuations[0]) with += static_cast<char>(id);
  for (int32_t id : engine.last_continuations[1]) without += static_cast<char>(id);
  REQUIRE(with == "[think]a thought[end]Write x\nbefore. now");
  REQUIRE(without == "Write x\nbefore. now");
  REQUIRE(results[1].nll ==
          Catch::Approx(scorer->score("before. ", {""}, "Write x\n", "before. now")[0].nll));
  // The byte model says the same through its own path.
  const auto ppm = make_ppm_scorer();
  const auto by_ppm = ppm->score_segments(request);
  REQUIRE(by_ppm[0].nll ==
          ppm->score("before. [think]", {"a thought"}, "[end]Write x\n", "before. now")[0].nll);
  REQUIRE(by_ppm[1].nll == ppm->score("before. ", {""}, "Write x\n", "before. now")[0].nll);
}

TEST_CASE("the score is the sum over all target tokens, the first included, and equals a whole pass",
          "[unit]") {
  ByteEngine engine;
  const auto tokenizer = byte_tokenizer();
  const auto scorer = make_local_scorer(engine, tokenizer, 1 << 20);
  const std::string prefix = "def one():\n", thought = "Now two.", close = "\n",
                    target = "def two():\n    pass\n";
  const ScoreResult r = scorer->score(prefix, {thought, "Else."}, close, target)[0];
  Ids ids = {*tokenizer->bos()};
  for (char c : prefix + thought + close + target) ids.push_back(static_cast<unsigned char>(c));
  double nll = 0, clipped = 0;
  for (float logprob : engine.logprobs(ids, static_cast<int64_t>(ids.size() - target.size()))) {
    nll -= static_cast<double>(logprob);
    clipped += std::min(2.0, -static_cast<double>(logprob));
  }
  REQUIRE(r.nll == Catch::Approx(nll));
  REQUIRE(r.nll_clipped == Catch::Approx(clipped));
  REQUIRE(r.n_tokens == static_cast<int64_t>(target.size()));
  REQUIRE(r.n_bytes == static_cast<int64_t>(target.size()));
}

TEST_CASE("segments become ids as in training: control tokens by name, never from text", "[unit]") {
  ByteEngine engine;
  const auto tokenizer = byte_tokenizer();
  const auto scorer = make_local_scorer(engine, tokenizer, 1 << 20);
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  ContextWalk walk(t, "llama3");
  const auto places = thought_places(t, 1 << 20);
  const ThoughtPlace& place = places[2];
  walk.go_to(place);
  ScoreRequest request = walk.request();
  request.thoughts = {t.slots[static_cast<size_t>(place.slot)].chosen};
  REQUIRE(scorer->score_segments(request)[0].n_tokens > 0);
  Ids scored = engine.last_prefix;
  scored.insert(scored.end(), engine.last_continuations[0].begin(), engine.last_continuations[0].end());
  const auto trained = data::tokenise(render(t, {Variant::repo2agent_search, "llama3"}), *tokenizer,
                                      data::default_loss_weights(), true, true);
  REQUIRE(scored.size() < trained.ids.size());
  REQUIRE(Ids(trained.ids.begin(), trained.ids.begin() + static_cast<std::ptrdiff_t>(scored.size())) ==
          scored);
}

TEST_CASE("a context that is too long keeps the lead and the newest, by a cut that no thought moves",
          "[unit]") {
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 400);
  std::vector<data::Segment> prefix = {text("REQUIREMENTS", Kind::requirements),
                                       text(std::string(90, 't'), Kind::context), text("PLAN", Kind::plan)};
  for (int i = 0; i < 30; ++i) prefix.push_back(text("<segment " + std::to_string(10 + i) + ">"));
  const std::vector<data::Segment> close = {control("<|eot_id|>")};
  const std::string target(100, 'x');
  const auto prefix_for = [&](std::vector<std::string> thoughts) {
    ScoreRequest request{prefix, 3, std::move(thoughts), close, target, {}};
    const auto results = scorer->score_segments(request);
    REQUIRE(results[0].n_tokens == 100);
    std::string out;
    for (int32_t id : engine.last_prefix) out += id < 256 ? static_cast<char>(id) : '^';
    for (const auto& ids : engine.last_continuations) REQUIRE(ids.size() + engine.last_prefix.size() <= 400);
    return out;
  };
  const std::string kept = prefix_for({"short"});
  REQUIRE(kept == prefix_for({"another thought, a good deal longer", "short"}));
  REQUIRE(kept.starts_with("^REQUIREMENTSPLAN<segment"));
  REQUIRE(kept.ends_with("<segment 39>"));
  REQUIRE(kept.size() > 200);
}

TEST_CASE("long observations between thought and target are cut to their newest, alike for all", "[unit]") {
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 400);
  const std::vector<data::Segment> prefix = {text("prefix")};
  const std::vector<data::Segment> close = {
      text("[end of thought]"), text(std::string(300, 'o') + "1", Kind::observe),
      text(std::string(300, 'n') + "2", Kind::observe), text("Write x")};
  ScoreRequest request{prefix, 0, {"thought", "other"}, close, std::string(100, 'x'), {}};
  const auto results = scorer->score_segments(request);
  REQUIRE((results[0].n_tokens == 100 && results[1].n_tokens == 100));
  std::string shown;
  for (int32_t id : engine.last_continuations[0]) shown += static_cast<char>(id);
  REQUIRE(shown.starts_with("thought[end of thought]n"));
  REQUIRE(shown.find("n2Write xxxx") != std::string::npos);
  REQUIRE(shown.size() == 7 + 100 + 100);
}

TEST_CASE("a thought that would not fit is rejected, and so is a target that leaves no room", "[unit]") {
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 400);
  const auto results =
      scorer->score(std::string(1000, 'p'), {"fits", std::string(200, 'q')}, "\n", std::string(100, 'x'));
  REQUIRE(results[0].n_tokens == 100);
  REQUIRE(results[1].n_tokens == 0);
  REQUIRE(scorer->score("p", {"a"}, "\n", std::string(390, 'x'))[0].n_tokens == 0);
  REQUIRE(scorer->score("p", {"a"}, "\n", "")[0].n_tokens == 0);
}

TEST_CASE("a style whose control tokens the tokenizer lacks is an input error", "[unit]") {
  ByteEngine engine;
  const auto scorer = make_local_scorer(engine, byte_tokenizer(), 400);
  const std::vector<data::Segment> prefix = {control("<|python_tag|>")};
  REQUIRE_THROWS_AS(scorer->score_segments({prefix, 0, {"a"}, {}, "target", {}}), Error);
}
