// The template generator: distinct, and saying only what its context shows.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <set>

#include "synth/generate/fill_slots.h"
#include "synth/record/plan_table.h"
#include "synth/record/prose.h"
#include "synth/record/render.h"
#include "synth/skeleton/cuts.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

// Identifier-like: quoted in backticks, or with an underscore, a digit or a capital inside.
std::set<std::string> code_words(const std::string& text) {
  std::set<std::string> out;
  bool quoted = false;
  std::string piece;
  const auto take = [&] {
    for (const std::string_view word : identifiers_of(piece)) {
      const bool odd = std::any_of(word.begin() + 1, word.end(), [](char c) {
        return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
      });
      if (quoted || odd) out.emplace(word);
    }
    piece.clear();
  };
  for (char c : text) {
    if (c != '`') {
      piece += c;
      continue;
    }
    take();
    quoted = !quoted;
  }
  take();
  return out;
}

std::set<std::string> words_of(const std::string& text) {
  const auto words = identifiers_of(text);
  return {words.begin(), words.end()};
}

// What a thought's context shows: requirements, tree, plan, its brief, and what its own agent has observed.
std::set<std::string> visible(const Trajectory& t, const Step& thought) {
  std::string text;
  for (const Step& step : t.steps) {
    if (step.seq >= thought.seq) break;
    const bool delegated = t.agents[static_cast<size_t>(thought.agent)].call_step == step.seq;
    if ((step.agent == 0 && step.kind != Kind::delegate) || delegated || step.agent == thought.agent)
      text += t.body_text(step) + "\n";
  }
  return words_of(text);
}

void require_known(const std::string& text, std::set<std::string> known) {
  for (const std::string& word : code_words(text)) {
    INFO(text << "\nunknown word: " << word);
    REQUIRE(known.count(word) == 1);
  }
}

std::vector<int> thoughts(const Trajectory& t) {
  std::vector<int> out;
  for (size_t i = 0; i < t.slots.size(); ++i)
    if (t.steps[static_cast<size_t>(t.slots[i].step)].kind == Kind::think) out.push_back(static_cast<int>(i));
  return out;
}

}  // namespace

TEST_CASE("first drafts of a thought are distinct for 32 candidates and repeat for equal ones", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const auto generator = make_template_generator();
  for (int slot : thoughts(t)) {
    std::set<std::string> texts;
    for (int candidate = 0; candidate < 32; ++candidate) {
      SlotRequest request = slot_request(t, r.snapshot, r.structure, slot, 7);
      request.candidate = candidate;
      texts.insert(generator->fill(request));
      REQUIRE(generator->fill(request) == generator->fill(request));
    }
    REQUIRE(texts.size() == 32);
  }
}

TEST_CASE("first drafts say only what their context shows", "[unit]") {
  const Repository r = make_repository();
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Trajectory t = make_trajectory(r, seed);
    for (int slot : thoughts(t)) {
      const Slot& s = t.slots[static_cast<size_t>(slot)];
      REQUIRE(s.mode == "blinded");
      require_known(s.initial, visible(t, t.steps[static_cast<size_t>(s.step)]));
    }
  }
}

TEST_CASE("improved candidates: blinded ones keep to the context, oracle ones add the outline only",
          "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const auto generator = make_template_generator();
  bool outline_used = false;
  for (const bool oracle : {false, true}) {
    for (int slot : thoughts(t)) {
      SlotRequest request = slot_request(t, r.snapshot, r.structure, slot, 3);
      std::set<std::string> known = visible(t, *request.step);
      const std::set<std::string> context = known;
      if (oracle) {
        const FileStructure& own = r.structure.files[static_cast<size_t>(request.file)];
        for (const Symbol& s : own.symbols) known.merge(words_of(s.kind + " " + s.name + " " + s.signature));
        for (const std::string& import : own.imports) known.merge(words_of(import));
      }
      request.oracle = oracle;
      request.incumbent = t.slots[static_cast<size_t>(slot)].initial;
      for (request.candidate = 1; request.candidate <= 12; ++request.candidate) {
        const std::string text = generator->fill(request);
        REQUIRE(text != request.incumbent);
        require_known(text, known);
        for (const std::string& word : code_words(text)) outline_used = outline_used || !context.count(word);
        request.incumbent = text;
      }
    }
    REQUIRE(outline_used == oracle);
  }
}

TEST_CASE("a pair of candidates that improve one incumbent differ", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const auto generator = make_template_generator();
  for (int slot : thoughts(t)) {
    SlotRequest request = slot_request(t, r.snapshot, r.structure, slot, 3);
    request.oracle = true;
    request.incumbent = t.slots[static_cast<size_t>(slot)].initial;
    std::set<std::string> texts;
    for (request.candidate = 1; request.candidate <= 2; ++request.candidate)
      texts.insert(generator->fill(request));
    REQUIRE(texts.size() == 2);
  }
}

TEST_CASE("no prose holds a control token, a redaction mark or text of a licence header", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  for (const Slot& slot : t.slots) {
    REQUIRE_FALSE(slot.initial.empty());
    REQUIRE(slot.initial.find("<|") == std::string::npos);
  }
  REQUIRE(first_sentence("Copyright 2020 A. Person\n\nLicensed under X.\n\nParses dates. And more.", 80) ==
          "Parses dates.");
  REQUIRE(first_sentence("#!/bin/sh\n", 80).empty());
  REQUIRE(first_sentence("====\n", 80).empty());
  REQUIRE(clean_prose("a\n  <|x|>\tb") == "a < |x|> b");
  REQUIRE(fit_for_slot("a\x01\xFF<|b") == "a\xEF\xBF\xBD< |b");
}

TEST_CASE("the main agent names the project, its parts and its cycles", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const std::string requirements = t.slots[0].initial, plan = t.slots[1].initial;
  REQUIRE(requirements.find("`sample-1.0`") != std::string::npos);
  REQUIRE(requirements.find("keeps the sample tables in order") != std::string::npos);
  REQUIRE(requirements.find("Entry of the program.") != std::string::npos);
  REQUIRE(plan.find("`pkg/cycle_a.py` is written before `pkg/cycle_b.py`") != std::string::npos);
  const std::string table = plan_table(t);
  for (const TreeFile& file : t.tree) REQUIRE(table.find("| " + file.path + " |") != std::string::npos);
}
