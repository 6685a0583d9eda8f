// to_json and back. Strict: every key is asked for, ids are recomputed, and the record is replayed.
#include "core/base64.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "synth/record/json_form.h"

namespace retrace::synth {

namespace {

const char* body_type_name(Body::Type type) {
  switch (type) {
    case Body::Type::none:
      return "none";
    case Body::Type::span:
      return "slice";
    case Body::Type::slot:
      return "slot";
    case Body::Type::text:
      return "text";
  }
  return "none";
}

Json body_json(const Body& body) {
  Json out = {{"type", body_type_name(body.type)}};
  if (body.type == Body::Type::span) {
    out["file"] = body.file;
    out["begin"] = body.begin;
    out["end"] = body.end;
  } else if (body.type == Body::Type::slot) {
    out["slot"] = body.slot;
  } else if (body.type == Body::Type::text) {
    out["text"] = body.text;
  }
  return out;
}

Body body_from(const Json& json, const std::string& where) {
  Body body;
  const auto type = get<std::string>(json, "type", where);
  if (type == "slice") {
    body.type = Body::Type::span;
    body.file = get<int>(json, "file", where);
    body.begin = get<uint64_t>(json, "begin", where);
    body.end = get<uint64_t>(json, "end", where);
  } else if (type == "slot") {
    body.type = Body::Type::slot;
    body.slot = get<int>(json, "slot", where);
  } else if (type == "text") {
    body.type = Body::Type::text;
    body.text = get<std::string>(json, "text", where);
  } else if (type != "none") {
    throw Error(Code::corrupt, fmt::format("unknown body type '{}'", type), "", where);
  }
  return body;
}

Kind kind_from(const Json& json, const std::string& where) {
  const auto name = get<std::string>(json, "kind", where);
  for (int k = 0; k < data::kNumKinds; ++k)
    if (name == data::kind_name(static_cast<Kind>(k))) return static_cast<Kind>(k);
  throw Error(Code::corrupt, fmt::format("unknown step kind '{}'", name), "", where);
}

Json blobs_json(const Trajectory& t) {
  Json out = Json::array();
  for (const auto& [hash, bytes] : t.blobs) {
    if (is_valid_utf8(bytes))
      out.push_back({{"sha256", hash}, {"text", bytes}});
    else
      out.push_back({{"sha256", hash}, {"base64", to_base64(bytes)}});
  }
  return out;
}

const Json& array_of(const Json& json, const char* key, const std::string& where) {
  auto found = json.find(key);
  if (found == json.end() || !found->is_array())
    throw Error(Code::corrupt, fmt::format("key '{}' must be an array", key), "", where);
  return *found;
}

void read_tree(const Json& json, Trajectory& t, const std::string& where) {
  for (const Json& f : array_of(json, "tree", where))
    t.tree.push_back({get<std::string>(f, "path", where), get<std::string>(f, "blob", where),
                      get<uint32_t>(f, "mode", where), get<uint64_t>(f, "size", where),
                      get<std::string>(f, "language", where)});
  for (const Json& b : array_of(json, "blobs", where)) {
    std::string bytes;
    if (b.contains("text"))
      bytes = get<std::string>(b, "text", where);
    else
      bytes = from_base64(get<std::string>(b, "base64", where), where);
    if (!t.blobs.emplace(get<std::string>(b, "sha256", where), std::move(bytes)).second)
      throw Error(Code::corrupt, "a blob stands there twice", "", where);
  }
  for (const Json& r : array_of(json, "redactions", where))
    t.redactions.push_back(
        {get<int>(r, "file", where), get<uint64_t>(r, "offset", where), get<std::string>(r, "kind", where)});
}

void read_plan(const Json& json, Trajectory& t, const std::string& where) {
  for (const Json& d : array_of(json, "dependencies", where))
    t.dependencies.push_back({get<int>(d, "from", where), get<int>(d, "to", where),
                              get<bool>(d, "hard", where), get<bool>(d, "broken", where)});
  t.order = get<std::vector<int>>(json, "order", where);
  for (const Json& p : array_of(json, "plan", where))
    t.plan.push_back({get<int>(p, "file", where), get<std::string>(p, "purpose", where),
                      get<std::string>(p, "source", where)});
  const auto skeleton = get<Json>(json, "skeleton", where);
  t.skeleton.version = get<int>(skeleton, "version", where);
  t.skeleton.read_budget_bytes = get<uint64_t>(skeleton, "read_budget_bytes", where);
  t.skeleton.write_chunk_bytes = get<uint64_t>(skeleton, "write_chunk_bytes", where);
  t.skeleton.reads_cut = get<int64_t>(skeleton, "reads_cut", where);
  t.skeleton.reads_left_out = get<int64_t>(skeleton, "reads_left_out", where);
}

void read_steps(const Json& json, Trajectory& t, const std::string& where) {
  for (const Json& a : array_of(json, "agents", where))
    t.agents.push_back({get<int>(a, "agent", where), get<int>(a, "parent", where),
                        get<int64_t>(a, "call_step", where), get<int>(a, "file", where)});
  for (const Json& s : array_of(json, "steps", where)) {
    Step step;
    step.seq = get<int64_t>(s, "seq", where);
    step.agent = get<int>(s, "agent", where);
    step.answers = get<int64_t>(s, "answers", where);
    step.kind = kind_from(s, where);
    step.body = body_from(get<Json>(s, "body", where), where);
    t.steps.push_back(std::move(step));
  }
  for (const Json& s : array_of(json, "slots", where))
    t.slots.push_back({get<int64_t>(s, "step", where), get<std::string>(s, "initial", where),
                       get<std::string>(s, "chosen", where), get<std::string>(s, "drop", where),
                       get<std::string>(s, "author", where), get<std::string>(s, "mode", where)});
}

}  // namespace

Json record_json(const Trajectory& t, Contents contents) {
  Json out = {{"schema", t.schema}, {"id", t.id}};
  if (contents == Contents::whole) out["rev"] = t.rev;
  out["round"] = t.round;
  out["repo"] = {{"origin", t.origin},   {"kind", t.kind}, {"revision", t.revision},
                 {"licence", t.licence}, {"date", t.date}, {"fold", t.fold}};
  Json& tree = out["tree"] = Json::array();
  for (const TreeFile& f : t.tree)
    tree.push_back(
        {{"path", f.path}, {"blob", f.blob}, {"mode", f.mode}, {"size", f.size}, {"language", f.language}});
  Json& redactions = out["redactions"] = Json::array();
  for (const RedactionMark& r : t.redactions)
    redactions.push_back({{"file", r.file}, {"offset", r.offset}, {"kind", r.kind}});
  Json& dependencies = out["dependencies"] = Json::array();
  for (const Dependency& d : t.dependencies)
    dependencies.push_back({{"from", d.from}, {"to", d.to}, {"hard", d.hard}, {"broken", d.broken}});
  out["order"] = t.order;
  Json& plan = out["plan"] = Json::array();
  for (const PlanLine& p : t.plan)
    plan.push_back({{"file", p.file}, {"purpose", p.purpose}, {"source", p.source}});
  out["skeleton"] = {{"version", t.skeleton.version},
                     {"read_budget_bytes", t.skeleton.read_budget_bytes},
                     {"write_chunk_bytes", t.skeleton.write_chunk_bytes},
                     {"reads_cut", t.skeleton.reads_cut},
                     {"reads_left_out", t.skeleton.reads_left_out}};
  Json& agents = out["agents"] = Json::array();
  for (const Agent& a : t.agents)
    agents.push_back(
        {{"agent", a.agent}, {"parent", a.parent}, {"call_step", a.call_step}, {"file", a.file}});
  Json& steps = out["steps"] = Json::array();
  for (const Step& s : t.steps)
    steps.push_back({{"seq", s.seq},
                     {"agent", s.agent},
                     {"answers", s.answers},
                     {"kind", data::kind_name(s.kind)},
                     {"body", body_json(s.body)}});
  Json& slots = out["slots"] = Json::array();
  for (const Slot& s : t.slots)
    slots.push_back({{"step", s.step},
                     {"initial", s.initial},
                     {"chosen", s.chosen},
                     {"drop", s.drop},
                     {"author", s.author},
                     {"mode", s.mode}});
  out["made_by"] = t.made_by;
  if (contents == Contents::whole) out["blobs"] = blobs_json(t);
  return out;
}

Json to_json(const Trajectory& t) {
  return record_json(t, Contents::whole);
}

Trajectory trajectory_from_json(const Json& json, const std::string& where) {
  Trajectory t;
  t.schema = get<int>(json, "schema", where);
  if (t.schema != kTrajectorySchema)
    throw Error(
        Code::corrupt,
        fmt::format("trajectory schema {} is not {}, which this program reads", t.schema, kTrajectorySchema),
        "make the trajectories anew with this version", where);
  t.id = get<std::string>(json, "id", where);
  t.rev = get<std::string>(json, "rev", where);
  t.round = get<int>(json, "round", where);
  const auto repo = get<Json>(json, "repo", where);
  t.origin = get<std::string>(repo, "origin", where);
  t.kind = get<std::string>(repo, "kind", where);
  t.revision = get<std::string>(repo, "revision", where);
  t.licence = get<std::string>(repo, "licence", where);
  t.date = get<std::string>(repo, "date", where);
  t.fold = get<std::string>(repo, "fold", where);
  read_tree(json, t, where);
  read_plan(json, t, where);
  read_steps(json, t, where);
  t.made_by = get<Json>(json, "made_by", where);
  try {
    replay(t);
  } catch (Error& error) {
    throw error.in(where);
  }
  if (make_id(t) != t.id)
    throw Error(Code::corrupt, "the id of the trajectory is not that of its tree", "", where);
  if (make_rev(t) != t.rev)
    throw Error(Code::corrupt, "the rev of the trajectory is not that of its content", "", where);
  return t;
}

}  // namespace retrace::synth
