#include "synth/stage/record_summary.h"

#include "core/error.h"
#include "synth/search/search.h"

namespace retrace::synth {

namespace {

constexpr int64_t kReadableBytes = 24000;  // of a trajectory that one may want to read in full

void add_counts(Json& total, const Json& one) {
  for (const auto& [key, value] : one.items())
    total[key] = get_or<int64_t>(total, key.c_str(), 0, "summary") + value.get<int64_t>();
}

}  // namespace

Json record_summary(const Trajectory& t, const Snapshot& snapshot, const Json& search) {
  Json counts = {{"repositories", 1},
                 {"files", t.tree.size()},
                 {"source_bytes", 0},
                 {"agents", t.agents.size()},
                 {"steps", t.steps.size()},
                 {"slots", t.slots.size()},
                 {"reads_cut", t.skeleton.reads_cut},
                 {"redactions", t.redactions.size()}};
  int64_t source_bytes = 0;
  for (const TreeFile& file : t.tree) source_bytes += static_cast<int64_t>(file.size);
  counts["source_bytes"] = source_bytes;
  Json by_kind = Json::object(), by_agent = {{"main", 0}, {"sub_agents", 0}};
  for (const Step& step : t.steps) {
    if (step.kind == Kind::read) continue;
    const auto bytes = static_cast<int64_t>(t.body_text(step).size());
    add_counts(by_kind, {{data::kind_name(step.kind), bytes}});
    add_counts(by_agent, {{step.agent == 0 ? "main" : "sub_agents", bytes}});
  }
  Json dropped_files = Json::object(), cycles = Json::array();
  for (const Dropped& d : snapshot.dropped) add_counts(dropped_files, {{d.reason, 1}});
  for (const Dependency& d : t.dependencies)
    if (d.broken)
      cycles.push_back({{"repository", t.origin},
                        {"from", t.tree[static_cast<size_t>(d.from)].path},
                        {"to", t.tree[static_cast<size_t>(d.to)].path}});
  return {{"name", t.origin},
          {"id", t.id},
          {"counts", counts},
          {"bytes_by_kind", by_kind},
          {"bytes_by_agent", by_agent},
          {"dropped", {{"reads_left_out_for_the_budget", t.skeleton.reads_left_out}}},
          {"dropped_files", dropped_files},
          {"broken_cycles", cycles},
          {"search", search}};
}

Json empty_total() {
  return {{"round", 0},
          {"fold", ""},
          {"counts", {{"repositories", 0}, {"files", 0}, {"source_bytes", 0}}},
          {"bytes_by_kind", Json::object()},
          {"bytes_by_agent", {{"main", 0}, {"sub_agents", 0}}},
          {"dropped", {{"reads_left_out_for_the_budget", 0}}},
          {"dropped_files", Json::object()},
          {"broken_cycles", Json::array()},
          {"search", empty_search_summary()}};
}

void add_record(Json& total, const Json& item) {
  for (const char* part : {"counts", "bytes_by_kind", "bytes_by_agent", "dropped", "dropped_files"})
    add_counts(total[part], item.at(part));
  if (item.contains("asked")) {
    if (!total.contains("asked")) total["asked"] = Json::object();
    add_counts(total["asked"], item.at("asked"));
  }
  for (const Json& cycle : item.at("broken_cycles")) total["broken_cycles"].push_back(cycle);
  add_search_summary(total["search"], item.at("search"));
}

Json finished_total(Json total, int round, const std::string& fold) {
  total["round"] = round;
  total["fold"] = fold;
  total["dropped"]["thoughts_too_long_to_score"] =
      total.at("search").at("not_searched").at("context_too_long").get<int64_t>();
  total["search"] = finished_search_summary(std::move(total["search"]));
  return total;
}

double example_value(const Json& item) {
  int64_t bytes = 0;
  for (const auto& [kind, of_kind] : item.at("bytes_by_kind").items()) bytes += of_kind.get<int64_t>();
  const bool accepted = item.at("search").at("accepted").get<int64_t>() > 0;
  const bool readable = bytes <= kReadableBytes;
  // Among readable ones the longest, else the shortest.
  const double size = readable ? static_cast<double>(bytes) / static_cast<double>(kReadableBytes)
                               : static_cast<double>(kReadableBytes) / static_cast<double>(bytes);
  return (readable ? 4.0 : 0.0) + (accepted ? 2.0 : 0.0) + size + 1e-9;
}

}  // namespace retrace::synth
