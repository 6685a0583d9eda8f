#include "synth/stage/work_queue.h"

#include <algorithm>
#include <atomic>
#include <future>

#include "core/error.h"
#include "core/files/files.h"
#include "core/json.h"
#include "core/log.h"
#include "core/poll.h"
#include "core/process/process.h"
#include "core/process/signals.h"
#include "synth/stage/read_result.h"

namespace retrace::synth {

namespace {

constexpr size_t kItemsPerFile = 256;
constexpr double kLeaseS = 120, kPollS = 0.2, kLookS = 0.02;
constexpr const char* kHead = "orders.json";

// Given back in the end, also by an exception: others need not wait until it runs out.
class HeldLease {
 public:
  HeldLease(Coordinator* coordinator, std::string key, std::string holder)
      : coordinator_(coordinator), key_(std::move(key)), holder_(std::move(holder)) {}
  ~HeldLease() {
    try {
      coordinator_->release(key_, holder_);
    } catch (const Error&) {  // then it runs out
    }
  }
  HeldLease(const HeldLease&) = delete;
  HeldLease& operator=(const HeldLease&) = delete;
  bool renew() { return coordinator_->lease(key_, holder_, kLeaseS); }

 private:
  Coordinator* coordinator_;
  std::string key_, holder_;
};

// Null where another has it, or where there is nobody to share with.
std::unique_ptr<HeldLease> take_lease(Coordinator* coordinator, const std::string& key,
                                      const std::string& holder) {
  if (!coordinator || !coordinator->lease(key, holder, kLeaseS)) return nullptr;
  return std::make_unique<HeldLease>(coordinator, key, holder);
}

// Work items under way on this rank, and their progress. One worker works in the caller's thread; several
// have threads of their own, while the caller's renews their leases.
class WorkCrew {
 public:
  WorkCrew(size_t workers, const WorkQueue::Make& make, Progress& progress)
      : slots_(workers), make_(make), progress_(progress) {}
  ~WorkCrew() {
    ended_ = true;
    for (Slot& slot : slots_)
      if (slot.work.valid()) slot.work.wait();
  }
  WorkCrew(const WorkCrew&) = delete;
  WorkCrew& operator=(const WorkCrew&) = delete;

  void wait_for_room(int64_t size_bytes) {
    poll_until({.first_pause_s = kLookS, .longest_pause_s = kLookS}, [&] {
      look_after();
      return has_room(size_bytes);
    });
  }
  void wait_for_all() {
    const auto any_busy = [&] { return std::any_of(slots_.begin(), slots_.end(), is_busy); };
    poll_until({.first_pause_s = kLookS, .longest_pause_s = kLookS}, [&] {
      if (any_busy()) look_after();
      return !any_busy();
    });
  }
  void begin(const WorkItem& item, std::unique_ptr<HeldLease> lease) {
    const auto free = std::find_if_not(slots_.begin(), slots_.end(), is_busy);
    const auto worker = static_cast<size_t>(free - slots_.begin());
    if (slots_.size() == 1) {
      const auto tick = [&] {
        throw_if_stopped();
        if (lease) lease->renew();
      };
      make_(worker, item, tick, [&](double part) { progress_.part(part); });
      progress_.part(0);
      progress_.add();
      return;
    }
    free->lease = std::move(lease);
    free->part = 0;
    free->size_bytes = item.size_bytes;
    free->work = std::async(std::launch::async, [this, worker, item] {
      const auto tick = [this] {
        throw_if_stopped();
        if (ended_) throw Error(Code::interrupted, "another repository of this rank failed");
      };
      make_(worker, item, tick, [this, worker](double part) { slots_[worker].part = part; });
    });
  }

 private:
  struct Slot {
    std::future<void> work;
    std::unique_ptr<HeldLease> lease;
    std::atomic<double> part{0};
    int64_t size_bytes = 0;
  };
  static bool is_busy(const Slot& slot) { return slot.work.valid(); }

  bool has_room(int64_t size_bytes) const {
    size_t busy = 0;
    for (const Slot& slot : slots_) {
      if (!is_busy(slot)) continue;
      ++busy;
      size_bytes += slot.size_bytes;
    }
    return busy == 0 || (busy < slots_.size() && size_bytes <= WorkQueue::kTogetherBytes);
  }

  void look_after() {
    throw_if_stopped();
    if (elapsed_s(renewed_) > kLeaseS / 8) {
      renewed_ = Clock::now();
      for (Slot& slot : slots_)
        if (slot.lease) slot.lease->renew();
    }
    double parts = 0;
    for (Slot& slot : slots_) {
      if (!is_busy(slot)) continue;
      if (slot.work.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        parts += slot.part;
        continue;
      }
      slot.lease.reset();
      slot.work.get();
      progress_.add();
    }
    progress_.part(parts);
  }

  std::vector<Slot> slots_;
  const WorkQueue::Make& make_;
  Progress& progress_;
  std::atomic<bool> ended_{false};
  Clock::time_point renewed_ = Clock::now();
};

fs::path file_of(const fs::path& folder, size_t file) {
  return folder / fmt::format("{:06}.jsonl", file);
}

}  // namespace

WorkQueueWriter::WorkQueueWriter(fs::path folder) : folder_(std::move(folder)) {
  fs::remove_all(folder_);
  make_folders(folder_);
}

void WorkQueueWriter::add(const WorkItem& item) {
  Json sources = Json::array();
  for (const SourceRef& source : item.sources) sources.push_back(to_json(source));
  lines_ += to_text({{"name", item.name},
                     {"sources", sources},
                     {"trees", item.trees},
                     {"duplicates", item.duplicates},
                     {"size_bytes", item.size_bytes}}) +
            "\n";
  if (++in_file_ == kItemsPerFile) flush();
}

void WorkQueueWriter::flush() {
  if (in_file_ == 0) return;
  publish_file(file_of(folder_, files_++), lines_);
  lines_.clear();
  in_file_ = 0;
}

void WorkQueueWriter::finish() {
  const size_t last = in_file_;
  flush();
  const size_t n_items = files_ == 0 ? 0 : (files_ - 1) * kItemsPerFile + (last == 0 ? kItemsPerFile : last);
  publish_file(folder_ / kHead, to_text({{"orders", n_items}}));
}

WorkQueue::WorkQueue(fs::path folder) : folder_(std::move(folder)) {
  const Json head = parse_json(read_file(folder_ / kHead), kHead);
  size_ = get<size_t>(head, "orders", kHead);
  for (size_t at = 0; at < size_; at += kItemsPerFile) counts_.push_back(std::min(kItemsPerFile, size_ - at));
}

std::vector<WorkItem> WorkQueue::load(size_t file) const {
  const fs::path path = file_of(folder_, file);
  const std::string text = read_file(path), where = path.filename().string();
  std::vector<WorkItem> items;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const Json json = parse_json(std::string_view(text).substr(begin, end - begin), where);
    begin = end + 1;
    WorkItem item;
    item.name = get<std::string>(json, "name", where);
    for (const Json& source : get<Json>(json, "sources", where))
      item.sources.push_back(source_from_json(source, where));
    item.trees = get<std::vector<std::string>>(json, "trees", where);
    for (const Json& duplicates : get<Json>(json, "duplicates", where)) item.duplicates.push_back(duplicates);
    item.size_bytes = get<int64_t>(json, "size_bytes", where);
    items.push_back(std::move(item));
  }
  if (items.size() != counts_[file])
    throw Error(Code::corrupt, "the order file is not complete", "run the same command again", path.string());
  return items;
}

void WorkQueue::each(const std::function<void(const WorkItem&)>& use) const {
  for (size_t file = 0; file < counts_.size(); ++file)
    for (const WorkItem& item : load(file)) use(item);
}

void WorkQueue::share(const Ranks& ranks, const std::string& lease_prefix, const std::string& what,
                      const std::string& unit, const std::function<bool(const WorkItem&)>& is_done,
                      size_t workers, const Make& make) const {
  Progress progress(what, size_, unit);
  const std::string holder = fmt::format("{}:{}", host_name(), ranks.rank);
  Coordinator* const leases = ranks.size > 1 ? ranks.coordinator : nullptr;
  WorkCrew crew(workers, make, progress);
  const size_t n_files = counts_.size();
  const size_t first_file = n_files * static_cast<size_t>(ranks.rank) / static_cast<size_t>(ranks.size);
  std::vector<size_t> left = counts_;  // neither done nor taken up here
  std::vector<std::vector<bool>> done;
  for (const size_t count : counts_) done.emplace_back(count, false);
  for (size_t all_left = size_; all_left > 0;) {
    bool moved = false;
    for (size_t f = 0; f < n_files; ++f) {
      const size_t file = (f + first_file) % n_files;
      if (left[file] == 0) continue;
      const std::vector<WorkItem> items = load(file);
      const size_t offset = items.size() * static_cast<size_t>(ranks.rank) / static_cast<size_t>(ranks.size);
      for (size_t i = 0; i < items.size(); ++i) {
        const size_t at = (i + offset) % items.size();
        if (done[file][at]) continue;
        const WorkItem& item = items[at];
        crew.wait_for_room(item.size_bytes);
        if (is_done(item)) {
          progress.add();
        } else {
          auto lease = take_lease(leases, lease_prefix + item.name, holder);
          if (leases && !lease) continue;
          if (is_done(item))
            progress.add();
          else
            crew.begin(item, std::move(lease));
        }
        done[file][at] = moved = true;
        --left[file];
        --all_left;
      }
    }
    if (!moved && all_left > 0) sleep_s(kPollS);
  }
  crew.wait_for_all();
}

}  // namespace retrace::synth
