// Conversations: OpenAI messages, ShareGPT, and the rendered text.
#include "core/error.h"
#include "synth/export/export_calls.h"
#include "synth/export/forms.h"
#include "synth/record/render.h"

namespace retrace::synth {

namespace {

std::string action_text(const Trajectory& t, const Step& step) {
  const Renderer renderer(t, {Variant::repo2agent_search, "plain"});
  return text_of(renderer.step(step.seq).before) + (step.kind == Kind::write ? t.body_text(step) : "");
}

std::string delegation(const Trajectory& t, const Step& step, const std::string& brief) {
  for (const Agent& a : t.agents)
    if (a.call_step == step.seq) return "Delegate " + path_of(t, a.file) + "\n" + brief;
  return brief;
}

void add_line(std::string& text, const std::string& more) {
  if (!more.empty()) text += (text.empty() ? "" : "\n\n") + more;
}

}  // namespace

Json to_messages(const Trajectory& t, Variant variant) {
  if (variant == Variant::raw_repos)
    throw Error(Code::usage, "raw_repos has no messages", "export it as text");
  const bool initial = variant == Variant::repo2agent;
  Json messages = Json::array();
  std::string user, pending;
  const auto flush_user = [&] {
    if (!user.empty()) messages.push_back({{"role", "user"}, {"content", std::move(user)}});
    user.clear();
  };
  for (const Step& step : t.steps) {
    const std::string id = fmt::format("call_{}", step.seq);
    switch (step.kind) {
      case Kind::requirements:
      case Kind::context:
        add_line(user, t.body_text(step, initial));
        break;
      case Kind::read:
      case Kind::write: {
        const bool write = step.kind == Kind::write;
        flush_user();
        Json call = {{"id", id},
                     {"type", "function"},
                     {"function",
                      {{"name", write ? "write_file" : "read_file"},
                       {"arguments", to_text(call_arguments(t, step))}}}};
        messages.push_back({{"role", "assistant"},
                            {"content", std::move(pending)},
                            {"tool_calls", Json::array({std::move(call)})}});
        pending.clear();
        if (write)
          messages.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", write_answer(t, step)}});
        break;
      }
      case Kind::observe:
        messages.push_back({{"role", "tool"},
                            {"tool_call_id", fmt::format("call_{}", step.answers)},
                            {"content", t.body_text(step)}});
        break;
      case Kind::delegate:
        add_line(pending, delegation(t, step, t.body_text(step, initial)));
        break;
      default:
        add_line(pending, t.body_text(step, initial));
    }
  }
  flush_user();
  if (!pending.empty()) messages.push_back({{"role", "assistant"}, {"content", pending}});
  return {{"messages", std::move(messages)}, {"tools", file_tools()}, {"provenance", provenance(t)}};
}

Json to_sharegpt(const Trajectory& t, Variant variant) {
  if (variant == Variant::raw_repos)
    throw Error(Code::usage, "raw_repos has no conversations", "export it as text");
  const bool initial = variant == Variant::repo2agent;
  Json out = Json::array();
  std::string human, gpt;
  const auto answer = [&](const char* from, std::string value) {
    out.push_back({{"from", "gpt"}, {"value", std::move(gpt)}});
    gpt.clear();
    out.push_back({{"from", from}, {"value", std::move(value)}});
  };
  for (const Step& step : t.steps) {
    if (step.kind == Kind::requirements || step.kind == Kind::context) {
      add_line(human, t.body_text(step, initial));
      continue;
    }
    if (out.empty()) out.push_back({{"from", "human"}, {"value", std::move(human)}});
    if (step.kind == Kind::read || step.kind == Kind::write)
      add_line(gpt, action_text(t, step));
    else if (step.kind == Kind::delegate)
      add_line(gpt, delegation(t, step, t.body_text(step, initial)));
    else if (step.kind != Kind::observe)
      add_line(gpt, t.body_text(step, initial));
    if (step.kind == Kind::observe) answer("observation", t.body_text(step));
    if (step.kind == Kind::write) answer("observation", write_answer(t, step));
  }
  if (!gpt.empty())
    out.push_back({{"from", "gpt"}, {"value", std::move(gpt)}});
  else if (out.size() % 2 == 1)
    out.erase(out.end() - 1);
  return {{"conversations", std::move(out)}, {"provenance", provenance(t)}};
}

Json to_text_record(const Trajectory& t, const RenderOptions& options) {
  return {{"text", text_of(render(t, options).segments)}, {"provenance", provenance(t)}};
}

}  // namespace retrace::synth
