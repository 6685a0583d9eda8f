// The result files of one work item of making: the trajectories, candidates and summaries of its
// repositories. The file of summaries is written last and says that the item is done.
#pragma once

#include <filesystem>
#include <functional>

#include "synth/record/store.h"
#include "synth/stage/record_maker.h"
#include "synth/stage/work_queue.h"

namespace retrace::synth {

bool is_made(const std::filesystem::path& items, const WorkItem& item);

// Makes the repositories of the item one after the other; `take(i)` reads the i-th.
void make_item(const std::filesystem::path& items, const WorkItem& item, RecordMaker& maker,
               const std::function<Snapshot(size_t)>& take, const WorkQueue::Tick& tick,
               const WorkQueue::Part& part);

// Reads them back: each trajectory with its summary.
void each_made(const std::filesystem::path& items, const WorkItem& item,
               const std::function<void(const Trajectory&, const Json&)>& use);
std::string made_candidates(const std::filesystem::path& items, const WorkItem& item);  // JSON lines

}  // namespace retrace::synth
