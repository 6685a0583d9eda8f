// Ranks beside one another, from the ends of their traces.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>

#include "core/error.h"
#include "eval/report/chart.h"
#include "eval/report/sections.h"

namespace retrace::eval {
namespace {

constexpr std::streamoff kTailBytes = 1 << 20;  // of each trace: more than a thousand steps
constexpr size_t kShownRanks = 16;
const std::vector<std::string> kPhases = {"data",        "forward",  "head",      "backward",  "gather_wait",
                                          "reduce_wait", "decision", "optimizer", "checkpoint"};

struct RankTime {
  int rank = 0;
  int64_t steps = 0;
  std::map<std::string, double> phase_ms;  // of a step, the mean
  double busy_ms() const {
    double sum = 0;
    for (const char* phase : {"data", "forward", "head", "backward", "optimizer"})
      if (const auto found = phase_ms.find(phase); found != phase_ms.end()) sum += found->second;
    return sum;
  }
};

// Whole lines at the end of the file.
std::string tail_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) throw Error(Code::input, "cannot read the trace", "", path.string());
  const std::streamoff size = in.tellg(), from = std::max<std::streamoff>(0, size - kTailBytes);
  std::string text(static_cast<size_t>(size - from), '\0');
  in.seekg(from);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (from > 0) text.erase(0, text.find('\n') + 1);
  text.resize(text.rfind('\n') + 1);  // a line that is being written
  return text;
}

RankTime time_of(const fs::path& path, int rank) {
  RankTime out{rank, 0, {}};
  const std::string text = tail_of(path);
  std::map<std::string, int64_t> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const Json line = parse_json(std::string_view(text).substr(at, end - at), path.string());
    const auto phase = get<std::string>(line, "phase", path.string());
    out.phase_ms[phase] += 1e3 * get<double>(line, "duration_s", path.string());
    out.steps = std::max(out.steps, ++lines[phase]);
    at = end + 1;
  }
  for (auto& [name, ms] : out.phase_ms) ms /= static_cast<double>(std::max<int64_t>(1, out.steps));
  return out;
}

std::vector<RankTime> times_of(const fs::path& run) {
  constexpr std::string_view kHead = "trace-", kTail = ".jsonl";
  std::vector<RankTime> all;
  for (const std::string& name : list_folder(run)) {
    if (!name.starts_with(kHead) || !name.ends_with(kTail)) continue;
    int rank = 0;
    const char* const end = name.data() + name.size() - kTail.size();
    const auto [stop, problem] = std::from_chars(name.data() + kHead.size(), end, rank);
    if (problem == std::errc() && stop == end) all.push_back(time_of(run / name, rank));
  }
  std::sort(all.begin(), all.end(), [](const RankTime& a, const RankTime& b) { return a.rank < b.rank; });
  return all;
}

// Steps in which a rank was the slowest, and the mean of its work over the ranks' mean in them.
std::map<int, std::pair<int64_t, double>> waited_for(const Json& curves) {
  std::map<int, std::pair<int64_t, double>> found;
  if (!curves.contains("slowest_rank") || !curves.contains("slowest_over_mean")) return found;
  const Json &ranks = curves["slowest_rank"], &ratios = curves["slowest_over_mean"];
  for (size_t i = 0; i < ranks.size() && i < ratios.size(); ++i) {
    if (!ranks[i].is_number_integer() || !ratios[i].is_number()) continue;
    auto& [count, sum] = found[ranks[i].get<int>()];
    ++count;
    sum += ratios[i].get<double>();
  }
  for (auto& [rank, value] : found) value.second /= static_cast<double>(value.first);
  return found;
}

}  // namespace

void add_ranks(const fs::path& run_folder, const Json& run, Page& page) {
  std::vector<RankTime> all = times_of(run_folder);
  if (all.size() < 2) return;
  const size_t ranks = all.size();
  if (ranks > kShownRanks) {
    std::stable_sort(all.begin(), all.end(),
                     [](const RankTime& a, const RankTime& b) { return a.busy_ms() > b.busy_ms(); });
    all.resize(kShownRanks);
  }
  page.heading("Ranks");
  page.paragraph(fmt::format(
      "Milliseconds of a step, means over the newest steps of each rank's trace{}. Data, forward, head, "
      "backward and optimizer are a rank's own work; what it waits in gathers, reductions and the decision "
      "is the others' and the network's.",
      ranks > kShownRanks ? fmt::format("; of {} ranks the {} with most work", ranks, kShownRanks) : ""));
  const auto waited = waited_for(run["main"]["curves"]);
  std::vector<Bar> bars;
  std::vector<std::string> header = {"rank", "steps"};
  header.insert(header.end(), kPhases.begin(), kPhases.end());
  header.insert(header.end(), {"own work", "slowest in steps", "then over the mean"});
  std::vector<std::vector<std::string>> rows = {header};
  for (const RankTime& each : all) {
    Bar bar{fmt::format("rank {}", each.rank), {}};
    std::vector<std::string> row = {std::to_string(each.rank), std::to_string(each.steps)};
    for (const std::string& phase : kPhases) {
      const auto found = each.phase_ms.find(phase);
      bar.parts.emplace_back(phase, found == each.phase_ms.end() ? 0 : found->second);
      row.push_back(show_number(bar.parts.back().second, 2));
    }
    const auto slow = waited.find(each.rank);
    row.push_back(show_number(each.busy_ms(), 2));
    row.push_back(slow == waited.end() ? "0" : std::to_string(slow->second.first));
    row.push_back(slow == waited.end() ? "-" : show_number(slow->second.second, 3));
    bars.push_back(std::move(bar));
    rows.push_back(std::move(row));
  }
  page.html_only(bar_chart("Time of a step by rank", bars, "ms"));
  page.table(rows);
}

}  // namespace retrace::eval
