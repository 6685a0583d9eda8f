// ATIF (Agent Trajectory Interchange Format, Harbor's RFC 0001), version 1.7: what it adds for embedded
// sub-agents is what a delegation needs. One root for the main agent, one embedded trajectory a sub-agent.
#include "core/error.h"
#include "synth/export/export_calls.h"
#include "synth/export/forms.h"

namespace retrace::synth {

namespace {

constexpr const char* kAtifVersion = "ATIF-v1.7";
constexpr const char* kMain = "main";

std::string sub_agent_id(int agent) {
  return fmt::format("sub-agent-{}", agent);
}

// One agent's steps, numbered from 1. A thought goes into the step of the call that follows it.
class AtifSteps {
 public:
  void say(const char* source, const std::string& message, int64_t seq) {
    Json& step = add(source, seq);
    step["message"] = message;
  }
  void think(const std::string& text) {
    reasoning_ += (reasoning_.empty() || text.empty() ? "" : "\n\n") + text;
  }
  void call(const std::string& message, const std::string& id, const char* function, Json arguments,
            Json result, int64_t seq) {
    Json& step = add("agent", seq);
    step["message"] = message;
    if (!reasoning_.empty()) step["reasoning_content"] = std::move(reasoning_);
    reasoning_.clear();
    step["tool_calls"] = Json::array(
        {{{"tool_call_id", id}, {"function_name", function}, {"arguments", std::move(arguments)}}});
    result["source_call_id"] = id;
    step["observation"] = {{"results", Json::array({std::move(result)})}};
  }
  // What was thought and led to no call.
  Json finish() {
    if (!reasoning_.empty()) say("agent", reasoning_, last_seq_);
    return std::move(steps_);
  }

 private:
  Json& add(const char* source, int64_t seq) {
    last_seq_ = seq;
    steps_.push_back({{"step_id", steps_.size() + 1},
                      {"source", source},
                      {"message", ""},
                      {"extra", {{"record_step", seq}}}});
    return steps_.back();
  }

  Json steps_ = Json::array();
  std::string reasoning_;
  int64_t last_seq_ = 0;
};

Json agent_of(const Trajectory& t, const std::string& name, Json tools) {
  Json agent = {{"name", name},
                {"version", get_or<std::string>(t.made_by, "code", "synth", "made_by")},
                {"tool_definitions", std::move(tools)}};
  const auto generator = get_or<std::string>(t.made_by, "generator", "", "made_by");
  if (!generator.empty()) agent["model_name"] = generator;
  return agent;
}

Json part(const Trajectory& t, const std::string& id, Json agent, Json steps) {
  return {{"schema_version", kAtifVersion},
          {"session_id", t.id},
          {"trajectory_id", id},
          {"agent", std::move(agent)},
          {"steps", std::move(steps)}};
}

}  // namespace

Json to_atif(const Trajectory& t, Variant variant) {
  if (variant == Variant::raw_repos)
    throw Error(Code::usage, "raw_repos has no steps of an agent", "export it as text");
  const bool initial = variant == Variant::repo2agent;
  std::vector<AtifSteps> agents(t.agents.size());
  for (const Step& step : t.steps) {
    AtifSteps& agent = agents[static_cast<size_t>(step.agent)];
    const std::string id = fmt::format("call_{}", step.seq);
    if (step.kind == Kind::read || step.kind == Kind::observe) {
      if (step.kind == Kind::observe) {
        const Step& read = t.steps[static_cast<size_t>(step.answers)];
        agent.call("", fmt::format("call_{}", read.seq), "read_file", call_arguments(t, read),
                   {{"content", t.body_text(step)}}, read.seq);
      }
      continue;
    }
    if (step.kind == Kind::write) {
      agent.call("", id, "write_file", call_arguments(t, step), {{"content", write_answer(t, step)}},
                 step.seq);
      continue;
    }
    const std::string text = t.body_text(step, initial);
    if (step.kind == Kind::think) {
      agent.think(text);
    } else if (step.kind != Kind::delegate) {
      if (!text.empty())
        agent.say(step.kind == Kind::requirements ? "user"
                  : step.kind == Kind::context    ? "system"
                                                  : "agent",
                  text, step.seq);
    } else {
      for (const Agent& a : t.agents) {
        if (a.call_step != step.seq) continue;
        agent.call("", id, "delegate", {{"path", path_of(t, a.file)}, {"brief", text}},
                   {{"subagent_trajectory_ref", Json::array({{{"trajectory_id", sub_agent_id(a.agent)}}})}},
                   step.seq);
        agents[static_cast<size_t>(a.agent)].say("user", text, step.seq);
      }
    }
  }
  Json out = part(t, kMain, agent_of(t, "retrace", delegate_tools()), agents[0].finish());
  out["notes"] =
      "Synthesised: code, order, reads and writes are those of a finished repository, the prose is a "
      "generator's.";
  out["extra"] = {{"provenance", provenance(t)}};
  Json embedded = Json::array();
  for (const Agent& a : t.agents)
    if (a.parent >= 0)
      embedded.push_back(part(t, sub_agent_id(a.agent), agent_of(t, "retrace sub-agent", file_tools()),
                              agents[static_cast<size_t>(a.agent)].finish()));
  if (!embedded.empty()) out["subagent_trajectories"] = std::move(embedded);
  return out;
}

}  // namespace retrace::synth
