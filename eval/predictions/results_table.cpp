#include "eval/predictions/results_table.h"

#include <algorithm>
#include <array>
#include <vector>

namespace retrace::eval {

std::string results_table(const Json& results) {
  std::vector<std::array<std::string, 4>> rows = {{"task", "metric", "value", "standard error"}};
  auto add = [&](const Json& tasks) {
    for (const auto& [task, values] : tasks.items())
      for (const auto& [name, value] : values.items()) {
        const size_t comma = name.find(',');
        if (comma == std::string::npos || !value.is_number() || name.substr(0, comma).ends_with("_stderr"))
          continue;
        const std::string filter = name.substr(comma + 1), metric = name.substr(0, comma);
        const auto error = values.find(metric + "_stderr," + filter);
        rows.push_back(
            {task, filter == "none" ? metric : metric + " (" + filter + ")",
             fmt::format("{:.4f}", value.get<double>()),
             error != values.end() && error->is_number() ? fmt::format("{:.4f}", error->get<double>()) : ""});
      }
  };
  add(results["results"]);
  add(results["groups"]);
  std::array<size_t, 4> widths{};
  for (const auto& row : rows)
    for (size_t i = 0; i < 4; ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  for (const auto& row : rows)
    out += fmt::format("{:<{}}  {:<{}}  {:>{}}  {:>{}}\n", row[0], widths[0], row[1], widths[1], row[2],
                       widths[2], row[3], widths[3]);
  return out;
}

}  // namespace retrace::eval
