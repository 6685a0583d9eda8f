// Work items that several threads of a rank make at once: each once, and together no more than memory is
// meant for.
#include "synth/stage/work_queue.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "tests/shared.h"

using namespace retrace;
using namespace retrace::synth;

namespace {

struct UnderWay {
  std::mutex mutex;
  std::map<size_t, int64_t> by_worker;  // source bytes of the item that each makes
  size_t most = 0;
  int64_t most_together = 0;  // of several
  std::vector<std::string> made;

  void begin(size_t worker, const WorkItem& item) {
    const std::lock_guard lock(mutex);
    by_worker[worker] = item.size_bytes;
    made.push_back(item.name);
    most = std::max(most, by_worker.size());
    int64_t sum = 0;
    for (const auto& [w, size_bytes] : by_worker) sum += size_bytes;
    if (by_worker.size() > 1) most_together = std::max(most_together, sum);
  }
  void end(size_t worker) {
    const std::lock_guard lock(mutex);
    by_worker.erase(worker);
  }
};

}  // namespace

TEST_CASE("orders made at once are small together, or one alone", "[unit]") {
  const tests::TempFolder folder;
  const int64_t mib = 1 << 20;
  const std::vector<int64_t> sizes = {1 * mib, 2 * mib,   3 * mib,  300 * mib, 5 * mib, 40 * mib,
                                      9 * mib, 400 * mib, 12 * mib, 1 * mib,   1 * mib, 1 * mib};
  WorkQueueWriter writer(folder / "make");
  std::vector<std::string> names;
  for (const int64_t size_bytes : sizes) {
    WorkItem item;
    item.name = fmt::format("order {}", names.size());
    item.size_bytes = size_bytes;
    names.push_back(item.name);
    writer.add(item);
  }
  writer.finish();
  UnderWay seen;
  const WorkQueue queue(folder / "make");
  queue.share(
      {}, "lease/", "orders", "repositories", [](const WorkItem&) { return false; }, 4,
      [&](size_t worker, const WorkItem& item, const auto& tick, const auto& part) {
        seen.begin(worker, item);
        for (int i = 1; i <= 5; ++i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
          tick();
          part(i / 5.0);
        }
        seen.end(worker);
      });
  REQUIRE(seen.most > 1);
  REQUIRE(seen.most_together <= WorkQueue::kTogetherBytes);
  std::sort(seen.made.begin(), seen.made.end());
  std::sort(names.begin(), names.end());
  REQUIRE(seen.made == names);
}
