// Identity of a record, and the bytes of its steps.
#include "synth/record/trajectory.h"

#include "core/error.h"
#include "core/hash.h"
#include "synth/record/json_form.h"

namespace retrace::synth {

std::string Trajectory::body_text(const Step& step, bool initial) const {
  switch (step.body.type) {
    case Body::Type::none:
      return "";
    case Body::Type::span:
      return content(step.body.file).substr(step.body.begin, step.body.end - step.body.begin);
    case Body::Type::slot: {
      const Slot& slot = slots.at(static_cast<size_t>(step.body.slot));
      return initial ? slot.initial : slot.chosen;
    }
    case Body::Type::text:
      return step.body.text;
  }
  throw Error(Code::internal, "a step body of unknown type");
}

std::string make_id(const Trajectory& t) {
  Json tree = Json::array();
  for (const TreeFile& file : t.tree) tree.push_back(Json::array({file.path, file.mode, file.blob}));
  Json key = {{"skeleton", t.skeleton.version}, {"tree", std::move(tree)}, {"order", t.order}};
  return sha256_hex(to_text(key));
}

std::string make_rev(const Trajectory& t) {
  return sha256_hex(to_text(record_json(t, Contents::hashes)));
}

Variant variant_of(const std::string& name) {
  if (name == "raw_repos") return Variant::raw_repos;
  if (name == "repo2agent") return Variant::repo2agent;
  if (name == "repo2agent_search") return Variant::repo2agent_search;
  throw Error(Code::recipe, fmt::format("unknown variant '{}'", name),
              "one of raw_repos, repo2agent, repo2agent_search", "synth.variant");
}

}  // namespace retrace::synth
