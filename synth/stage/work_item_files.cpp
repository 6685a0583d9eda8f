#include "synth/stage/work_item_files.h"

#include <algorithm>

#include "core/files/files.h"

namespace retrace::synth {

namespace {

constexpr const char *kTrajectories = ".traj", *kCandidates = ".candidates.jsonl",
                     *kSummaries = ".summary.jsonl";

fs::path file_of(const fs::path& items, const WorkItem& item, const char* suffix) {
  return items / "made" / item.name.substr(0, 2) / (item.name + suffix);
}

}  // namespace

bool is_made(const fs::path& items, const WorkItem& item) {
  return fs::exists(file_of(items, item, kSummaries));
}

void make_item(const fs::path& items, const WorkItem& item, RecordMaker& maker,
               const std::function<Snapshot(size_t)>& take, const WorkQueue::Tick& tick,
               const WorkQueue::Part& part) {
  const fs::path trajectories = file_of(items, item, kTrajectories);
  make_folders(trajectories.parent_path());
  TrajectoryWriter writer(trajectories);
  std::string candidates, summaries;
  for (size_t i = 0; i < item.sources.size(); ++i) {
    tick();
    const Snapshot snapshot = take(i);
    const auto so_far = [&](double done) {
      part((static_cast<double>(i) + done) / static_cast<double>(item.sources.size()));
    };
    const MadeRecord made = maker.make(snapshot, tick, so_far);
    writer.add(made.trajectory);
    candidates += made.candidates;
    summaries += to_text(made.summary) + "\n";
  }
  writer.finish();
  write_file(file_of(items, item, kCandidates), candidates);
  write_file(file_of(items, item, kSummaries), summaries);
}

void each_made(const fs::path& items, const WorkItem& item,
               const std::function<void(const Trajectory&, const Json&)>& use) {
  const TrajectoryReader records(file_of(items, item, kTrajectories));
  const std::string summaries = read_file(file_of(items, item, kSummaries));
  size_t begin = 0;
  for (size_t i = 0; i < item.sources.size(); ++i) {
    const size_t end = std::min(summaries.find('\n', begin), summaries.size());
    use(records.read(i),
        parse_json(std::string_view(summaries).substr(begin, end - begin), item.name + kSummaries));
    begin = end + 1;
  }
}

std::string made_candidates(const fs::path& items, const WorkItem& item) {
  return read_file(file_of(items, item, kCandidates));
}

}  // namespace retrace::synth
