#include "synth/record/plan_table.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/text.h"

namespace retrace::synth {

namespace {

constexpr size_t kMaxNamed = 8;  // dependencies that a row of the plan names

}  // namespace

std::string plan_head() {
  return "| # | file | purpose | depends on |\n|---|---|---|---|\n";
}

std::vector<int> dependencies_of(const Trajectory& t, int file, bool with_broken) {
  const std::vector<size_t> place = places_in_order(t);
  std::vector<int> out;
  for (const Dependency& d : t.dependencies)
    if (d.from == file && (with_broken || !d.broken)) out.push_back(d.to);
  std::sort(out.begin(), out.end(),
            [&](int a, int b) { return place[static_cast<size_t>(a)] < place[static_cast<size_t>(b)]; });
  return out;
}

std::vector<int> shown_dependencies(const Trajectory& t, int file) {
  std::vector<int> out = dependencies_of(t, file, true);
  if (out.size() > kMaxNamed) out.resize(kMaxNamed);
  return out;
}

std::vector<size_t> places_in_order(const Trajectory& t) {
  std::vector<size_t> place(t.tree.size());
  for (size_t i = 0; i < t.order.size(); ++i) place[static_cast<size_t>(t.order[i])] = i;
  return place;
}

std::string plan_row(const Trajectory& t, size_t place) {
  const int file = t.order[place];
  std::vector<std::string> names;
  const std::vector<int> needs = dependencies_of(t, file, true);
  for (int needed : shown_dependencies(t, file)) names.push_back(t.tree[static_cast<size_t>(needed)].path);
  std::string depends = names.empty() ? "-" : join(names, ", ");
  if (needs.size() > kMaxNamed) depends += fmt::format(" and {} more", needs.size() - kMaxNamed);
  return fmt::format("| {} | {} | {} | {} |\n", place + 1, t.tree[static_cast<size_t>(file)].path,
                     replace_all(t.plan[place].purpose, "|", "/"), depends);
}

std::string plan_table(const Trajectory& t) {
  std::string out = plan_head();
  for (size_t place = 0; place < t.order.size(); ++place) out += plan_row(t, place);
  return out;
}

}  // namespace retrace::synth
