// The record: JSON and back, and every invariant broken once.
#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "core/error.h"
#include "core/hash.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

size_t find_step(const Trajectory& t, Kind kind, size_t nth = 0) {
  for (size_t i = 0; i < t.steps.size(); ++i)
    if (t.steps[i].kind == kind && nth-- == 0) return i;
  fail(Code::internal, "no such step");
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    REQUIRE(error.code() == Code::corrupt);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a record goes through JSON unchanged, files that are no UTF-8 included", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  replay(t);
  const std::string text = to_text(to_json(t));
  REQUIRE(text.find("base64") != std::string::npos);
  const Trajectory back = trajectory_from_json(parse_json(text, "record"), "record");
  REQUIRE(to_text(to_json(back)) == text);
  REQUIRE(back.id == make_id(t));
  REQUIRE(back.rev == t.rev);
  REQUIRE(back.content(file_index(make_repository().snapshot, "notes.txt")) == "caf\xE9 notes\n");
}

TEST_CASE("the id knows the tree and the order only, the rev everything", "[unit]") {
  Trajectory t = make_trajectory(make_repository());
  const std::string id = t.id, rev = t.rev;
  t.slots[0].chosen += " More.";
  REQUIRE(make_id(t) == id);
  REQUIRE(make_rev(t) != rev);
  t.tree[0].path = "README.rst";
  REQUIRE(make_id(t) != id);
}

TEST_CASE("every broken invariant is refused on load, whatever its hashes say", "[unit]") {
  struct Break {
    const char* what;
    const char* says;
    std::function<void(Trajectory&)> how;
  };
  const auto slot = [](Trajectory& t) -> Slot& { return t.slots[1]; };
  const std::vector<Break> breaks = {
      {"a byte of a file", "hash", [](Trajectory& t) { t.blobs[t.tree[0].blob][0] = 'X'; }},
      {"a size", "size", [](Trajectory& t) { ++t.tree[0].size; }},
      {"a missing blob", "missing", [](Trajectory& t) { t.blobs.erase(t.tree[0].blob); }},
      {"a blob of nobody", "no file", [](Trajectory& t) { t.blobs[sha256_hex("x")] = "x"; }},
      {"a path upwards", "not plain", [](Trajectory& t) { t.tree[0].path = "../x"; }},
      {"an absolute path", "relative", [](Trajectory& t) { t.tree[0].path = "/x"; }},
      {"a path twice", "twice", [](Trajectory& t) { t.tree[0].path = t.tree[1].path; }},
      {"an order with a repeat", "twice", [](Trajectory& t) { t.order[1] = t.order[0]; }},
      {"an order out of range", "names file", [](Trajectory& t) { t.order[1] = 99; }},
      {"a plan out of order", "writing order", [](Trajectory& t) { std::swap(t.plan[0], t.plan[1]); }},
      {"a dependency on itself", "doubled",
       [](Trajectory& t) { t.dependencies[0].to = t.dependencies[0].from; }},
      {"an unbroken edge against the order", "written before",
       [](Trajectory& t) {
         for (Dependency& d : t.dependencies) d.broken = false;
       }},
      {"a gap in a file", "partition",
       [](Trajectory& t) { ++t.steps[find_step(t, Kind::write, 2)].body.begin; }},
      {"a write cut short", "rebuild",
       [](Trajectory& t) {
         for (size_t i = t.steps.size(); i-- > 0;)
           if (t.steps[i].kind == Kind::write && t.steps[i].body.end > t.steps[i].body.begin) {
             --t.steps[i].body.end;
             break;
           }
       }},
      {"a slice outside", "outside",
       [](Trajectory& t) { t.steps[find_step(t, Kind::write)].body.end = 1 << 20; }},
      {"a write of another's file", "another",
       [](Trajectory& t) {
         Body& body = t.steps[find_step(t, Kind::write, 2)].body;
         body.file = 0;
         body.begin = body.end = 0;
       }},
      {"a read of what is not written", "not written yet",
       [](Trajectory& t) {
         const size_t read = find_step(t, Kind::read);
         t.steps[read].body.file = t.steps[read + 1].body.file = t.order.back();
         t.steps[read].body.begin = t.steps[read + 1].body.begin = 0;
         t.steps[read].body.end = t.steps[read + 1].body.end = 1;
       }},
      {"an observation of something else", "does not show",
       [](Trajectory& t) { ++t.steps[find_step(t, Kind::observe)].body.begin; }},
      {"an observation without a question", "answers no read",
       [](Trajectory& t) { t.steps[find_step(t, Kind::observe)].answers = 0; }},
      {"a read without an answer", "answered 0 times",
       [](Trajectory& t) {
         Step& step = t.steps[find_step(t, Kind::observe)];
         step.kind = Kind::read;
         step.answers = -1;
       }},
      {"a thought with code for a body", "wrong type",
       [](Trajectory& t) {
         t.steps[find_step(t, Kind::think)].body = t.steps[find_step(t, Kind::write)].body;
       }},
      {"a write with prose for a body", "wrong type",
       [](Trajectory& t) {
         t.steps[find_step(t, Kind::write)].body = t.steps[find_step(t, Kind::think)].body;
       }},
      {"a thought of the main agent", "wrong kind of agent",
       [](Trajectory& t) { t.steps[find_step(t, Kind::think)].agent = 0; }},
      {"a step of an agent that was not called", "not inside",
       [](Trajectory& t) { t.steps[find_step(t, Kind::think)].agent = 3; }},
      {"a delegation that calls nobody", "calls nobody",
       [](Trajectory& t) { t.steps[find_step(t, Kind::review)].kind = Kind::delegate; }},
      {"two agents for a file", "two agents", [](Trajectory& t) { t.agents[1].file = t.agents[2].file; }},
      {"a number out of sequence", "at place", [](Trajectory& t) { t.steps[3].seq = 7; }},
      {"a slot used twice", "another step",
       [](Trajectory& t) {
         t.steps[find_step(t, Kind::think, 1)].body.slot = t.steps[find_step(t, Kind::think)].body.slot;
       }},
      {"a slot of nobody", "no step", [](Trajectory& t) { t.slots.push_back({}); }},
      {"a slot that is no UTF-8", "UTF-8", [&](Trajectory& t) { slot(t).chosen = "\xFF"; }},
      {"a control token in a slot", "control token", [&](Trajectory& t) { slot(t).chosen = "<|eot_id|>"; }},
      {"a dropped slot with a text", "dropped", [&](Trajectory& t) { slot(t).drop = "reason"; }},
      {"an empty tree", "empty", [](Trajectory& t) { t.tree.clear(); }},
  };
  const Trajectory good = make_trajectory(make_repository());
  for (const Break& one : breaks) {
    INFO(one.what);
    Trajectory t = good;
    one.how(t);
    t.id = make_id(t);
    t.rev = make_rev(t);
    const std::string says = refusal([&] { replay(t); });
    INFO(says);
    REQUIRE(says.find(one.says) != std::string::npos);
    if (std::string(one.what).find("no UTF-8") == std::string::npos) {
      const std::string loaded = refusal([&] { trajectory_from_json(to_json(t), "record"); });
      REQUIRE(loaded.find(one.says) != std::string::npos);
    }
  }
}

TEST_CASE("a changed record is known by its id or rev, a foreign schema by its number", "[unit]") {
  Trajectory t = make_trajectory(make_repository());
  Json json = to_json(t);
  json["repo"]["licence"] = "GPL-3.0";
  REQUIRE(refusal([&] { trajectory_from_json(json, "r"); }).find("rev") != std::string::npos);
  json = to_json(t);
  json["id"] = std::string(64, '0');
  REQUIRE(refusal([&] { trajectory_from_json(json, "r"); }).find("id") != std::string::npos);
  json = to_json(t);
  json["schema"] = 2;
  REQUIRE(refusal([&] { trajectory_from_json(json, "r"); }).find("schema 2") != std::string::npos);
  const Json whole = to_json(t);
  for (const auto& [key, value] : whole.items()) {
    json = whole;
    json.erase(key);
    INFO(key);
    REQUIRE_FALSE(refusal([&] { trajectory_from_json(json, "r"); }).empty());
  }
}
