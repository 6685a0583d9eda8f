// Rendering: what is masked, what ends an action, and that source text forges nothing.
#include <catch2/catch_test_macros.hpp>

#include "core/error.h"
#include "synth/record/render.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

std::string bytes_of(const data::Document& document, Kind kind) {
  std::string out;
  for (const auto& s : document.segments)
    if (s.kind == kind) out += s.bytes;
  return out;
}

}  // namespace

TEST_CASE("writes carry the files byte for byte, observations what was read, in every style", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  for (const char* style : {"plain", "llama3", "chatml"}) {
    INFO(style);
    const auto document = render(t, {Variant::repo2agent_search, style});
    const Renderer renderer(t, {Variant::repo2agent_search, style});
    std::map<int, std::string> files;
    for (const Step& step : t.steps) {
      const RenderedStep rendered = renderer.step(step.seq);
      if (step.kind == Kind::write) files[step.body.file] += text_of(rendered.body);
      if (step.kind == Kind::observe) REQUIRE(text_of(rendered.body) == t.body_text(step));
      for (const auto& part : {rendered.before, rendered.body, rendered.after})
        for (const auto& s : part) {
          const bool own = s.kind == step.kind, frame = s.kind == Kind::frame;
          REQUIRE((own || frame));
          REQUIRE(s.bytes.empty() != s.control_token.empty());
          REQUIRE(s.step == step.seq);
        }
    }
    for (const auto& [file, bytes] : files) REQUIRE(bytes == t.content(file));
  }
}

TEST_CASE("masks cover exactly observations, context and frames", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  const auto document = render(t, {Variant::repo2agent_search, "plain"});
  const auto tokens = data::tokenise(document, *tokenizer, data::default_loss_weights(), true, true);
  std::string masked, expected, trained, expected_trained;
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    if (tokens.ids[i] >= 256) continue;
    (tokens.weights[i] > 0 ? trained : masked) += static_cast<char>(tokens.ids[i]);
  }
  for (const auto& s : document.segments) {
    const bool mask = s.kind == Kind::observe || s.kind == Kind::context || s.kind == Kind::frame;
    (mask ? expected : expected_trained) += s.bytes;
  }
  REQUIRE(masked == expected);
  REQUIRE(trained == expected_trained);
  // Of the bytes of steps: observations and the tree are masked, all else is trained.
  std::string observed;
  for (const Step& step : t.steps)
    if (step.kind == Kind::observe) observed += t.body_text(step) + "\n[end]\n\n";
  REQUIRE(bytes_of(document, Kind::observe) == observed);
}

TEST_CASE("the token that ends an action is trained, that of an observation is not", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  const auto document = render(t, {Variant::repo2agent_search, "llama3"});
  const auto tokens = data::tokenise(document, *tokenizer, data::default_loss_weights(), true, true);
  const auto eot = *tokenizer->special("<|eot_id|>");
  size_t ends = 0, at = 1;
  for (const auto& s : document.segments) {
    if (s.control_token == "<|eot_id|>") {
      REQUIRE(tokens.ids[at] == eot);
      const bool mask = s.kind == Kind::observe || s.kind == Kind::context || s.kind == Kind::frame;
      REQUIRE((tokens.weights[at] > 0) == !mask);
      ++ends;
    }
    at += s.control_token.empty() ? s.bytes.size() : 1;
  }
  const size_t notes = 2 * (t.agents.size() - 1);
  REQUIRE(ends == t.steps.size() + notes);
}

TEST_CASE("a control token in the source stays text", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  for (const auto variant : {Variant::raw_repos, Variant::repo2agent, Variant::repo2agent_search}) {
    const auto plain = render(t, {variant, "plain"});
    std::string text;
    for (const auto& s : plain.segments) {
      REQUIRE(s.control_token.empty());
      text += s.bytes;
    }
    REQUIRE(text.find("MARK = '<|eot_id|>'") != std::string::npos);
    const auto tokens = data::tokenise(plain, *tokenizer, data::default_loss_weights(), false, false);
    for (data::TokenId id : tokens.ids) REQUIRE(id < 256);
  }
}

TEST_CASE("raw_repos is the files in writing order with their paths", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  std::string expected;
  for (int file : t.order)
    expected += "### " + t.tree[static_cast<size_t>(file)].path + "\n" + t.content(file) + "\n\n";
  const auto document = render(t, {Variant::raw_repos, "llama3"});
  REQUIRE(text_of(document.segments) == expected);
  for (const auto& s : document.segments) REQUIRE(s.kind == Kind::text);
}

TEST_CASE("variants choose the slot's text; a dropped thought is left out with its frame", "[unit]") {
  Trajectory t = make_trajectory(make_repository());
  Slot* thought = nullptr;
  for (Slot& s : t.slots)
    if (thought == nullptr && t.steps[static_cast<size_t>(s.step)].kind == Kind::think) thought = &s;
  thought->chosen = "Searched words.";
  const auto text = [&](Variant v) { return text_of(render(t, {v, "plain"}).segments); };
  REQUIRE(text(Variant::repo2agent).find("Searched words.") == std::string::npos);
  REQUIRE(text(Variant::repo2agent_search).find("Think: Searched words.\n\n") != std::string::npos);
  thought->chosen.clear();
  thought->drop = "no_gain_over_none";
  const Renderer renderer(t, {Variant::repo2agent_search, "llama3"});
  const RenderedStep step = renderer.step(thought->step);
  REQUIRE((step.before.empty() && step.body.empty() && step.after.empty()));
}

TEST_CASE("unknown variants and styles are recipe errors", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  REQUIRE_THROWS_AS(variant_of("repo2agents"), Error);
  REQUIRE_THROWS_AS(render(t, {Variant::repo2agent, "markdown"}), Error);
}
