// Overview, held-out bits per byte, and training curves.
#include <cmath>

#include "core/log.h"
#include "eval/report/chart.h"
#include "eval/report/sections.h"

namespace retrace::eval {
namespace {

// Calls use(name, branch) for the main branch and every comparison.
template <class Use>
void for_each_branch(const Json& run, Use use) {
  const std::string main = get_or<std::string>(run["run"].is_object() ? run["run"] : Json::object(),
                                               "variant", "main", "run.json");
  use(main, run["main"]);
  for (const auto& [name, branch] : run["compare"].items()) use(name, branch);
}

Series curve(const std::string& name, const Json& branch, const char* y) {
  Series series{name, {}};
  const auto& curves = branch["curves"];
  if (!curves.contains(y) || !curves.contains("global_step")) return series;
  const auto &xs = curves["global_step"], &ys = curves[y];
  for (size_t i = 0; i < xs.size() && i < ys.size(); ++i)
    if (xs[i].is_number() && ys[i].is_number())
      series.points.emplace_back(xs[i].get<double>(), ys[i].get<double>());
  return series;
}

}  // namespace

double number_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = &json;
  for (const char* key : path) {
    if (!at->is_object()) return NAN;
    const auto found = at->find(key);
    if (found == at->end()) return NAN;
    at = &*found;
  }
  return at->is_number() ? at->get<double>() : NAN;
}

std::string show_number(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  if (std::fabs(value) >= 1e7) return fmt::format("{:.2e}", value);
  if (value == std::floor(value)) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, digits);
}

void add_overview(const Json& run, Page& page) {
  page.heading("Overview");
  std::vector<std::pair<std::string, std::string>> facts;
  if (run["run"].is_object())
    for (const auto& [name, value] : run["run"].items())
      if (value.is_string() || value.is_number())
        facts.emplace_back(name, value.is_string() ? value.get<std::string>() : to_text(value));
  page.facts(facts);
  std::vector<std::vector<std::string>> rows = {{"branch", "round", "starts from", "steps", "tokens",
                                                 "trained tokens", "first loss", "last loss", "weights"}};
  for_each_branch(run, [&](const std::string& name, const Json& branch) {
    for (const auto& item : branch["rounds"]) {
      const Json& round = item["round"];
      if (!round.is_object()) continue;
      const auto root = get_or<std::string>(round["train"], "root", "", "round.json");
      rows.push_back({name, show_number(number_at(round, {"round"})),
                      get_or<std::string>(round, "start", "-", "round.json"),
                      show_number(number_at(round, {"train", "steps"})),
                      show_number(number_at(round, {"train", "tokens"})),
                      show_number(number_at(round, {"train", "label_tokens"})),
                      show_number(number_at(round, {"train", "first_loss"})),
                      show_number(number_at(round, {"train", "last_loss"})), root.substr(0, 12)});
    }
  });
  page.table(rows);
}

void add_heldout(const Json& run, Page& page) {
  Chart chart{"Held-out bits per byte (development split)", "after round", "bits per byte", {}, true, false};
  std::vector<std::vector<std::string>> rows = {{"branch", "round", "before", "after", "change"}};
  for_each_branch(run, [&](const std::string& name, const Json& branch) {
    Series series{name, {}};
    for (const auto& item : branch["rounds"]) {
      const double round = number_at(item["round"], {"round"}),
                   before = number_at(item["round"], {"heldout", "before"}),
                   after = number_at(item["round"], {"heldout", "after"});
      if (std::isnan(round)) continue;
      if (series.points.empty()) series.points.emplace_back(round - 1, before);
      series.points.emplace_back(round, after);
      rows.push_back(
          {name, show_number(round), show_number(before), show_number(after), show_number(after - before)});
    }
    chart.series.push_back(std::move(series));
  });
  if (rows.size() < 2) return;
  page.heading("Held-out code");
  page.paragraph(
      "Bits per byte of repositories that no tokenizer, search or training step has seen. The development "
      "split is "
      "read after every round; the test split once, at the end (under Benchmarks). The table compares "
      "branches at "
      "equal trained tokens and makes no claim about which is better: one seed, one small model.");
  page.html_only(line_chart(chart));
  page.table(rows);
}

void add_training(const Json& run, Page& page) {
  struct Curve {
    const char *name, *title, *unit;
    bool from_zero;
  };
  std::string charts;
  for (const Curve& c :
       {Curve{"loss", "Training loss", "nats per trained token", false},
        Curve{"lr", "Learning rate", "", true}, Curve{"grad_norm", "Gradient norm before clipping", "", true},
        Curve{"tokens_per_s", "Throughput", "tokens per second, all ranks", true}}) {
    Chart chart{c.title, "step", c.unit, {}, false, c.from_zero};
    for_each_branch(run, [&](const std::string& name, const Json& branch) {
      chart.series.push_back(curve(name, branch, c.name));
    });
    charts += line_chart(chart);
  }
  if (charts.empty()) return;
  page.heading("Training");
  page.html_only(charts);
}

}  // namespace retrace::eval
