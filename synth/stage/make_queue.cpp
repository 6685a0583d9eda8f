#include "synth/stage/make_queue.h"

#include "core/files/files.h"
#include "core/hash.h"
#include "synth/stage/finished.h"
#include "synth/stage/gathering.h"

namespace retrace::synth {

namespace {

constexpr size_t kMadeTogether = 64;               // repositories in an item to make
constexpr int64_t kItemBytes = int64_t{64} << 10;  // of source, in such an item
constexpr const char* kHead = "stage.json";

std::string inputs_text(const RecordMaker& maker, const LedgerRow& row) {
  const auto text = [&](const char* name) { return get<std::string>(row.read_result, name, "ledger"); };
  return maker.inputs_text(effective_tree(row), text("origin"), text("revision"), text("licence"),
                           text("date"));
}

}  // namespace

void write_make_queue(const fs::path& items, const fs::path& out, Ledger& ledger, RecordMaker& maker) {
  WorkQueueWriter writer(items / "make");
  Sha256 all;
  all.add(maker.recipe_hash());
  const size_t most = maker.is_slow() ? 1 : kMadeTogether;
  WorkItem item;
  std::string keys;
  int64_t size_bytes = 0;
  size_t n_records = 0;
  const auto finish = [&] {
    if (item.sources.empty()) return;
    item.name = sha256_hex(keys);
    item.size_bytes = size_bytes;
    writer.add(item);
    item = {};
    keys.clear();
    size_bytes = 0;
  };
  ledger.each([&](const LedgerRow& row) {
    if (row.state != "planned" && row.state != "done") return;
    const std::string what = inputs_text(maker, row);
    all.add(what);
    keys += maker.record_key(what) + "\n";
    item.sources.push_back(row.source);
    item.trees.push_back(row.tree);
    item.duplicates.push_back(row.duplicates);
    size_bytes += get<int64_t>(row.read_result, "size_bytes", "ledger");
    ++n_records;
    if (item.sources.size() >= most || size_bytes >= kItemBytes) finish();
  });
  finish();
  writer.finish();
  const std::string key = all.hex();
  const bool finished = finished_summary(out, maker, key).has_value();
  ledger.replace_state(finished ? "planned" : "done", finished ? "done" : "planned");
  publish_file(items / kHead, to_text({{"key", key}, {"records", n_records}, {"finished", finished}}));
}

MakePlan read_make_plan(const fs::path& items) {
  const Json head = parse_json(read_file(items / kHead), kHead);
  return {get<std::string>(head, "key", kHead), get<size_t>(head, "records", kHead),
          get<bool>(head, "finished", kHead)};
}

WorkQueue make_queue(const fs::path& items) {
  return WorkQueue(items / "make");
}

}  // namespace retrace::synth
