#include "synth/export/export_calls.h"

#include "core/error.h"

namespace retrace::synth {

namespace {

Json tool(const char* name, const char* about,
          const std::vector<std::pair<const char*, const char*>>& arguments) {
  Json properties = Json::object(), required = Json::array();
  for (const auto& [argument, type] : arguments) {
    properties[argument] = {{"type", type}};
    if (std::string_view(type) == "string") required.push_back(argument);
  }
  return {{"type", "function"},
          {"function",
           {{"name", name},
            {"description", about},
            {"parameters", {{"type", "object"}, {"properties", properties}, {"required", required}}}}}};
}

}  // namespace

std::string path_of(const Trajectory& t, int file) {
  return t.tree[static_cast<size_t>(file)].path;
}

Json provenance(const Trajectory& t) {
  return {{"id", t.id},           {"rev", t.rev},     {"origin", t.origin}, {"revision", t.revision},
          {"licence", t.licence}, {"round", t.round}, {"fold", t.fold},     {"made_by", t.made_by}};
}

Json call_arguments(const Trajectory& t, const Step& step) {
  const Body& body = step.body;
  Json out = {{"path", path_of(t, body.file)}};
  if (body.begin != 0 || body.end != t.tree[static_cast<size_t>(body.file)].size) {
    out["begin"] = body.begin;
    out["end"] = body.end;
  }
  if (step.kind == Kind::write) out["content"] = t.body_text(step);
  return out;
}

std::string write_answer(const Trajectory& t, const Step& step) {
  return fmt::format("wrote {} bytes to {}", step.body.end - step.body.begin, path_of(t, step.body.file));
}

Json file_tools() {
  return {tool("read_file", "Read a file, or its bytes [begin, end).",
               {{"path", "string"}, {"begin", "integer"}, {"end", "integer"}}),
          tool("write_file", "Write a file, or append its bytes [begin, end).",
               {{"path", "string"}, {"content", "string"}, {"begin", "integer"}, {"end", "integer"}})};
}

Json delegate_tools() {
  return Json::array(
      {tool("delegate", "Have a sub-agent write a file.", {{"path", "string"}, {"brief", "string"}})});
}

}  // namespace retrace::synth
