#include "eval/report/collect.h"

#include <algorithm>

#include "core/metrics/metrics.h"

namespace retrace::eval {
namespace {

Json read_json(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  return parse_json(read_file(path), path.string());
}

// The steps of one branch: lists of equal length per name, so that the JSON stays small.
Json training_curves(const fs::path& folder) {
  const fs::path path = folder / "metrics.jsonl";
  Json curves = Json::object();
  if (!fs::exists(path)) return curves;
  for (const auto& line : read_jsonl(path)) {
    if (get_or<std::string>(line, "stage", "", path.string()) != "train") continue;
    for (const char* name : {"global_step", "round", "loss", "lr", "grad_norm", "tokens_per_s", "step_time_s",
                             "data_wait_s", "checkpoint_stall_s", "slowest_rank", "slowest_over_mean"}) {
      auto value = line.find(name);
      curves[name].push_back(value == line.end() ? Json(nullptr) : *value);
    }
  }
  return curves;
}

Json collect_branch(const fs::path& folder) {
  Json branch = {{"curves", training_curves(folder)}, {"rounds", Json::array()}};
  if (!fs::exists(folder / "rounds")) return branch;
  for (const auto& name : list_folder(folder / "rounds")) {
    const fs::path round = folder / "rounds" / name;
    branch["rounds"].push_back({{"name", name},
                                {"round", read_json(round / "round.json")},
                                {"synth", read_json(round / "synth" / "summary.json")},
                                {"pack", read_json(round / "tokens" / "pack.json")}});
  }
  return branch;
}

}  // namespace

Json collect_run(const fs::path& run) {
  if (!fs::is_directory(run))
    throw Error(Code::input, "there is no run folder " + run.string(),
                "name a folder that `retrace run` made");
  Json out = {{"run", read_json(run / "run.json")},
              {"slices", read_json(run / "slices.json")},
              {"main", collect_branch(run)},
              {"compare", Json::object()},
              {"final", read_json(run / "final.json")}};
  if (fs::exists(run / "compare"))
    for (const auto& name : list_folder(run / "compare"))
      out["compare"][name] = collect_branch(run / "compare" / name);
  return out;
}

}  // namespace retrace::eval
