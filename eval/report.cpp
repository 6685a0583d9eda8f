#include "eval/report.h"

#include "eval/report/collect.h"
#include "eval/report/sections.h"

namespace retrace::eval {

fs::path write_report(const fs::path& run) {
  const Json data = collect_run(run);
  const auto name = data["run"].is_object() ? get_or<std::string>(data["run"], "name", "", "run.json") : "";
  Page page(
      "Retrace: " + (name.empty() ? run.filename().string() : name),
      "Repositories rebuilt as trajectories, a model trained on them round by round, and what it measures.");
  add_overview(data, page);
  add_heldout(data, page);
  add_training(data, page);
  add_ranks(run, data, page);
  add_search(data, page);
  add_controls(data, page);
  add_benchmarks(data, page);
  add_sources(data, page);
  add_tokens(data, page);
  add_repositories(data, page);
  add_trajectory(run, page);
  add_settings(run, page);
  write_file(run / "report.json", to_text(data, 1) + "\n");
  write_file(run / "report.md", page.markdown());
  write_file(run / "report.html", page.html());
  return run / "report.html";
}

}  // namespace retrace::eval
