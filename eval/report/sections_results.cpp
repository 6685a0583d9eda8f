// Benchmarks beside the paper's table, repositories and what was dropped, the example trajectory, the
// recipe's assumptions.
#include <cmath>

#include "core/log.h"
#include "core/text.h"
#include "eval/report/paper_table.h"
#include "eval/report/sections.h"

namespace retrace::eval {
namespace {

// "metric,filter" -> value and standard error of one task of lm-eval-shaped results.
struct Metric {
  std::string name;
  double value = NAN, error = NAN;
};

std::vector<Metric> metrics_of(const Json& task) {
  std::vector<Metric> out;
  for (const auto& [key, value] : task.items()) {
    const auto comma = key.find(',');
    if (comma == std::string::npos || !value.is_number()) continue;
    const std::string name = key.substr(0, comma), filter = key.substr(comma + 1);
    if (name.size() > 7 && name.compare(name.size() - 7, 7, "_stderr") == 0) continue;
    out.push_back({filter == "none" ? name : name + " (" + filter + ")", value.get<double>(),
                   number_at(task, {(name + "_stderr," + filter).c_str()})});
  }
  return out;
}

std::string with_error(const Metric& m, double scale) {
  std::string text = show_number(m.value * scale, scale == 1 ? 4 : 2);
  if (std::isfinite(m.error)) text += " +- " + show_number(m.error * scale, scale == 1 ? 4 : 2);
  return text;
}

double paper_metric(const Json& results, const PaperRow& row) {
  if (row.task.empty() || !results.is_object() || !results.contains(row.task)) return NAN;
  for (const auto& m : metrics_of(results[row.task]))
    if (m.name.rfind(row.metric, 0) == 0) return m.value * 100;
  return NAN;
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

}  // namespace

void add_benchmarks(const Json& run, Page& page) {
  const Json& final_ = run["final"];
  if (!final_.is_object() || !final_.contains("models")) return;
  page.heading("Benchmarks");
  const Json& models = final_["models"];
  std::vector<std::vector<std::string>> rows = {{"task", "metric"}};
  std::vector<std::pair<std::string, std::string>> seen;  // task, metric in order of appearance
  for (const auto& model : models) {
    rows[0].push_back(get_or<std::string>(model, "name", "?", "final.json"));
    for (const auto& [task, values] : model["results"].items())
      for (const auto& m : metrics_of(values)) {
        const std::pair<std::string, std::string> key{task, m.name};
        if (std::find(seen.begin(), seen.end(), key) == seen.end()) seen.push_back(key);
      }
  }
  for (const auto& [task, metric] : seen) {
    std::vector<std::string> row = {task, metric};
    for (const auto& model : models) {
      std::string cell = "-";
      if (model["results"].contains(task))
        for (const auto& m : metrics_of(model["results"][task]))
          if (m.name == metric) cell = with_error(m, 1);
      row.push_back(cell);
    }
    rows.push_back(row);
  }
  page.table(rows);

  page.paragraph(
      "Beside the paper's table (Llama-3-8B-Instruct continued on 20B tokens at 64K; percent). Our columns "
      "are named by "
      "model and size; a model of another size is not comparable with the paper's and stands here only so "
      "that the same "
      "report serves a run at full size.");
  std::vector<std::vector<std::string>> paper = {
      {"benchmark", "paper: Prolong", "paper: Raw-Repos", "paper: Repo2Agent", "paper: Repo2Agent-Search"}};
  for (const auto& model : models)
    paper[0].push_back("ours: " + get_or<std::string>(model, "name", "?", "final.json") + ", " +
                       format_count(number_at(model, {"parameters"})) + " parameters");
  for (const auto& row : paper_table()) {
    std::vector<std::string> cells = {row.benchmark, or_dash(row.prolong), or_dash(row.raw_repos),
                                      or_dash(row.repo2agent), or_dash(row.repo2agent_search)};
    for (const auto& model : models) cells.push_back(show_number(paper_metric(model["results"], row), 2));
    paper.push_back(cells);
  }
  page.table(paper);
}

void add_repositories(const Json& run, Page& page) {
  const Json& slices = run["slices"];
  if (!slices.is_object()) return;
  page.heading("Repositories");
  std::vector<std::vector<std::string>> rows = {
      {"repository", "used for", "licence", "files", "bytes", "languages", "dropped files", "redactions"}};
  std::map<std::string, int64_t> reasons;
  for (const auto& r : slices["repositories"]) {
    std::vector<std::string> languages, dropped, redactions;
    for (const auto& [name, bytes] : r["languages"].items())
      if (!name.empty()) languages.push_back(name);
    std::map<std::string, int64_t> of_this;
    for (const auto& [reason, count] : r["dropped_files"].items()) of_this[reason] += count.get<int64_t>();
    if (r.contains("duplicate_files"))
      for (const auto& d : r["duplicate_files"])
        ++of_this[get_or<bool>(d, "near", false, "slices.json") ? "near_duplicate_file" : "duplicate_file"];
    for (const auto& [reason, count] : of_this) {
      dropped.push_back(fmt::format("{} {}", reason, count));
      reasons[reason] += count;
    }
    for (const auto& [kind, count] : r["redactions"].items())
      redactions.push_back(kind + " " + to_text(count));
    const auto fold = get_or<std::string>(r, "fold", "", "slices.json");
    rows.push_back({get_or<std::string>(r, "name", "", "slices.json"),
                    fold == "train" ? "round " + to_text(r["round"])
                    : fold == "dev" ? "development"
                                    : fold,
                    get_or<std::string>(r, "licence", "", "slices.json"), to_text(r["files"]),
                    to_text(r["bytes"]), join(languages, ", "), join(dropped, ", "), join(redactions, ", ")});
  }
  page.table(rows, false);
  page.paragraph("Everything left out, by reason:");
  std::vector<std::vector<std::string>> totals = {{"what", "reason", "count"}};
  for (const auto& [reason, count] : reasons) totals.push_back({"file", reason, std::to_string(count)});
  for (const auto& r : slices["dropped"])
    totals.push_back({"repository " + get_or<std::string>(r, "name", "", "slices.json"),
                      get_or<std::string>(r, "reason", "", "slices.json"), "1"});
  auto add_counts = [&](const std::string& branch, const Json& counts, const std::string& what) {
    if (!counts.is_object()) return;
    for (const auto& [reason, count] : counts.items())
      if (count.is_number() && count.get<double>() > 0)
        totals.push_back({branch + ": " + what, reason, to_text(count)});
  };
  auto add_branch = [&](const std::string& name, const Json& branch) {
    for (const auto& item : branch["rounds"]) {
      const std::string label = name + " round " + get<std::string>(item, "name", "round");
      if (item["synth"].is_object() && item["synth"].contains("dropped"))
        add_counts(label, item["synth"]["dropped"], "synthesis");
      if (item["pack"].is_object() && item["pack"].contains("dropped"))
        add_counts(label, item["pack"]["dropped"], "packing");
    }
  };
  add_branch("main", run["main"]);
  for (const auto& [name, branch] : run["compare"].items()) add_branch(name, branch);
  if (totals.size() < 2) page.paragraph("Nothing was dropped.");
  page.table(totals, false);
}

void add_trajectory(const fs::path& run_folder, Page& page) {
  fs::path newest;
  if (fs::exists(run_folder / "rounds"))
    for (const auto& name : list_folder(run_folder / "rounds")) {
      const fs::path candidate = run_folder / "rounds" / name / "synth" / "example.html";
      if (fs::exists(candidate)) newest = candidate;
    }
  if (newest.empty()) return;
  page.heading("One trajectory");
  const std::string content = read_file(newest);
  if (content.empty()) return;
  // A page of its own: in a frame its style meets none of ours, and nothing in it may run or fetch.
  if (content.starts_with("<!doctype html>"))
    page.html_only("<iframe class=\"trajectory page\" sandbox title=\"One trajectory\" srcdoc=\"" +
                   html_escape(content) + "\"></iframe>\n");
  else  // a run folder of an earlier version
    page.html_only("<div class=\"trajectory\">" + content + "</div>\n");
}

void add_settings(const fs::path& run_folder, Page& page) {
  const fs::path recipe = run_folder / "recipe.toml";
  if (!fs::exists(recipe)) return;
  std::string text = read_file(recipe), section;
  std::vector<std::vector<std::string>> assumed = {{"key", "value"}}, all = {{"key", "value", "mark"}};
  for (auto line : split_lines(text)) {
    const auto clean = trim(line);
    if (clean.empty()) continue;
    if (clean.front() == '[') {
      section = std::string(clean.substr(1, clean.find(']') - 1));
      continue;
    }
    const auto equals = clean.find('=');
    if (equals == std::string_view::npos) continue;
    std::string key = section + "." + std::string(trim(clean.substr(0, equals))),
                value(trim(clean.substr(equals + 1))), mark;
    for (const std::string name : {"paper", "ProLong", "assumed"}) {
      const std::string tail = "  # " + name;
      if (value.size() > tail.size() && value.compare(value.size() - tail.size(), tail.size(), tail) == 0) {
        mark = name;
        value.resize(value.size() - tail.size());
      }
    }
    all.push_back({key, value, mark});
    if (mark == "assumed") assumed.push_back({key, value});
  }
  page.heading("Settings");
  if (assumed.size() > 1) {
    page.paragraph("What the paper does not say, and this recipe assumes:");
    page.table(assumed, false);
  }
  page.fold("Every key of the resolved recipe", all);
}

}  // namespace retrace::eval
