// A queue of work in a folder that all ranks share: rank 0 writes the items, every rank takes them by leases
// of the coordinator, and a result file says that an item is done. A rank holds 256 items in memory,
// however many there are.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/ranks/ranks.h"
#include "synth/input/source_list.h"

namespace retrace::synth {

// Some repositories that are read, or made into trajectories, together.
struct WorkItem {
  std::string name;  // of its result files: a hash of all that decides them
  std::vector<SourceRef> sources;
  std::vector<std::string> trees;  // of each source as it is read, where they are known
  std::vector<Json> duplicates;    // of each source, where there are any: files to leave out
  int64_t size_bytes = 0;          // of all that is in them, where it is known
};

class WorkQueueWriter {
 public:
  explicit WorkQueueWriter(std::filesystem::path folder);  // what stands there is removed
  void add(const WorkItem& item);
  void finish();

 private:
  void flush();
  std::filesystem::path folder_;
  std::string lines_;
  size_t in_file_ = 0, files_ = 0;
};

class WorkQueue {
 public:
  explicit WorkQueue(std::filesystem::path folder);
  size_t size() const { return size_; }
  void each(const std::function<void(const WorkItem&)>& use) const;  // in the sequence of writing

  // Every item once, by whoever holds its lease. `make` gets a function that renews the lease, to be called
  // often, and one that shows how much of the item is done (0 to 1). A rank that finds nothing free waits
  // for the others: if one is lost, its leases run out and its items are taken over. `progress` and `unit`
  // name what is shown meanwhile. With several workers the rank holds as many items at once, each made by a
  // thread of its own; `make` is told which worker it is. What is made at once has at most kTogetherBytes, or
  // is one item alone, so that memory stays that of one large repository. An error ends the others at their
  // next tick and is thrown when they have ended.
  static constexpr int64_t kTogetherBytes = int64_t{16} << 20;
  using Tick = std::function<void()>;
  using Part = std::function<void(double)>;
  using Make = std::function<void(size_t worker, const WorkItem&, const Tick& tick, const Part& part)>;
  void share(const Ranks& ranks, const std::string& lease_prefix, const std::string& progress,
             const std::string& unit, const std::function<bool(const WorkItem&)>& is_done, size_t workers,
             const Make& make) const;

 private:
  std::vector<WorkItem> load(size_t file) const;
  std::filesystem::path folder_;
  std::vector<size_t> counts_;  // of each file
  size_t size_ = 0;
};

}  // namespace retrace::synth
