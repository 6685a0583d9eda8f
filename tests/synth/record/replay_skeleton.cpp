// The skeleton: what simulate() lays down for a repository with a cycle, a large file and an empty one.
#include <catch2/catch_test_macros.hpp>

#include <set>

#include "synth/skeleton/cuts.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

TEST_CASE("a skeleton replays, and reads only what is written already", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  replay(t);
  std::set<int> written;
  for (size_t i = 0; i < t.steps.size(); ++i) {
    const Step& step = t.steps[i];
    if (step.kind == Kind::read) REQUIRE(written.count(step.body.file) == 1);
    const bool last = i + 1 == t.steps.size() || t.steps[i + 1].agent != step.agent;
    if (step.kind == Kind::write && last) written.insert(step.body.file);
  }
  REQUIRE(written.size() == t.tree.size());
  // The cut edge a -> b: b comes later, so a's sub-agent reads nothing and says nothing of b's content.
  const int a = file_index(r.snapshot, "pkg/cycle_a.py");
  for (const Agent& agent : t.agents) {
    if (agent.file != a) continue;
    for (const Step& step : t.steps) REQUIRE_FALSE((step.agent == agent.agent && step.kind == Kind::read));
  }
}

TEST_CASE("large files are written in several pieces, cut where symbols start", "[unit]") {
  const Repository r = make_repository();
  const auto big = static_cast<size_t>(file_index(r.snapshot, "pkg/big.py"));
  const SourceFile& file = r.snapshot.files[big];
  const auto pieces = write_pieces(file, r.structure.files[big], 1024);
  REQUIRE(pieces.size() >= 5);
  uint64_t at = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    REQUIRE(pieces[i].first == at);
    REQUIRE(pieces[i].second - pieces[i].first <= 1024);
    at = pieces[i].second;
    if (i > 0) REQUIRE(file.content.compare(pieces[i].first, 4, "def ") == 0);
  }
  REQUIRE(at == file.content.size());
}

TEST_CASE("pieces never split a code point and always make progress", "[unit]") {
  std::string wide;
  for (int i = 0; i < 200; ++i) wide += "\xE2\x82\xAC";
  const auto pieces = write_pieces({"x.txt", wide, "", 0644}, {}, 7);
  for (const auto& [begin, end] : pieces) {
    REQUIRE(begin < end);
    REQUIRE(begin % 3 == 0);
  }
}

TEST_CASE("readings keep to the budget and show the symbols that are used", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  REQUIRE(t.skeleton.read_budget_bytes == 2048);
  std::map<int, uint64_t> observed;
  bool saw_number_7 = false;
  for (const Step& step : t.steps) {
    if (step.kind != Kind::observe) continue;
    observed[step.agent] += step.body.end - step.body.begin;
    if (t.body_text(step).find("def number_7(") != std::string::npos) saw_number_7 = true;
    REQUIRE(t.body_text(step).find("def number_8(") == std::string::npos);
  }
  for (const auto& [agent, bytes] : observed) REQUIRE(bytes <= 2048);
  REQUIRE(saw_number_7);
  REQUIRE(t.skeleton.reads_cut >= 1);
  SimulateOptions none = small_options();
  none.read_budget_bytes = 0;
  const Trajectory blind = simulate(r.snapshot, r.structure, none);
  REQUIRE(blind.skeleton.reads_left_out == 5);
}

TEST_CASE("an empty file is written once, without a thought", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const int empty = file_index(r.snapshot, "pkg/__init__.py");
  int writes = 0;
  for (const Agent& agent : t.agents)
    for (const Step& step : t.steps)
      if (agent.file == empty && step.agent == agent.agent) {
        REQUIRE(step.kind == Kind::write);
        ++writes;
      }
  REQUIRE(writes == 1);
}

TEST_CASE("the plan says where it knows a purpose from", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  for (const PlanLine& line : t.plan) {
    const FileStructure& structure = r.structure.files[static_cast<size_t>(line.file)];
    REQUIRE(line.source == (structure.docstring.empty() ? "path" : "docstring"));
    REQUIRE(line.purpose.find("<|") == std::string::npos);
  }
}

TEST_CASE("equal inputs give equal records, another seed other prose only", "[unit]") {
  const Repository r = make_repository();
  REQUIRE(to_text(to_json(make_trajectory(r, 1))) == to_text(to_json(make_trajectory(r, 1))));
  const Trajectory one = make_trajectory(r, 1), two = make_trajectory(r, 2);
  REQUIRE(one.id == two.id);
  REQUIRE(one.rev != two.rev);
}
