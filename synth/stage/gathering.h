// The first half of a synthesis stage: sources are listed, read and selected into out/ledger.db. Ranks share
// the reading; rank 0 alone holds the ledger. Each step can be killed and resumed.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "synth/config.h"
#include "synth/stage/job.h"
#include "synth/stage/ledger.h"
#include "synth/stage/read_result.h"
#include "synth/stage/work_queue.h"

namespace retrace::synth {

class Gathering {
 public:
  // `key` begins the coordinator's keys of this gathering: one for each in a job.
  Gathering(const Recipe& recipe, const SynthJob& job, std::string key);

  // Every rank calls these three in this sequence; each ends when all ranks have reached its end. Rank 0 ends
  // select() with `then`, while the others wait.
  void list();
  void read();
  void select(const std::function<void()>& then);
  Ledger& ledger() { return *ledger_; }  // of rank 0, after list()
  // A repository as it was read and selected, from any thread: without duplicate files. Error where it is not
  // the tree any more.
  Snapshot take(const SourceRef& source, const std::string& tree, const Json& duplicates);

 private:
  void list_sources();
  void write_read_queue();
  void read_item(const WorkItem& item, const std::function<void()>& tick);
  void record_results();
  void select_all();
  Snapshot read_source(const SourceRef& source);
  std::filesystem::path result_file(const WorkItem& item) const;

  const SynthJob& job_;
  ReadResultOptions wanted_;
  SnapshotOptions reading_;
  SourceReader reader_;
  std::mutex taking_;
  std::filesystem::path items_;
  std::string basis_, rules_, key_;
  double timeout_s_;
  std::unique_ptr<Ledger> ledger_;
};

// What became of every source: counts by state and reason, and what the kept ones are.
Json source_counts(Ledger& ledger);
// What of a row decides its record: its tree, and which files are left out of it.
std::string effective_tree(const LedgerRow& row);

// A repository is not the tree that was found when the run began.
Error changed_since_the_cut(const SourceRef& source);

}  // namespace retrace::synth
