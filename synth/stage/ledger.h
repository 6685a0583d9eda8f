// The ledger of a synthesis stage: every repository that the input names exactly once, with its state. Rank 0
// alone opens it; the other ranks get their work from a queue (synth/stage/work_queue.h).
//
//   listed   named by the input, not read yet, or changed since
//   planned  read and selected: its trajectory is to be made
//   done     its trajectory is published
//   dropped  a filter refused it (reason)      failed   it cannot be read (reason)
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "synth/input/source_list.h"

namespace retrace::synth {

struct LedgerRow {
  SourceRef source;
  std::string state, reason;
  std::string tree;       // hash of the redacted tree, "" before it was read
  Json read_result;       // what synth/stage/read_result.h says of it; null before it was read
  std::string signature;  // MinHash, packed; "" if the repository is too short for one
  Json files;       // its files that can be duplicates (synth/hygiene/duplicate_files.h); null for none.
                    // each() leaves it out
  Json duplicates;  // those of them that are left out; null for none
};

class Ledger {
 public:
  // `basis` names all that decides how a source is read and selected; rows made under another basis are read
  // anew. Error{corrupt} if the file is no ledger of this version.
  Ledger(const std::filesystem::path& file, const std::string& basis);
  ~Ledger();

  // One listing: begin, add every source (in any order), end. A source that is new or whose stamp changed
  // becomes `listed`; one that the input no longer names is removed. A repeated source counts once; but two
  // runs of lines for one repository in a JSONL file are Error{input}. Killed before end, it is begun anew.
  void begin_listing();
  void add(const SourceRef& source);
  void end_listing();

  // Rows in the order of `place`, in constant memory. `use` may change the ledger.
  void each(const std::function<void(const LedgerRow&)>& use);
  std::string signature_of(const std::string& place);
  Json files_of(const std::string& source);
  std::map<std::string, int64_t> counts();  // by state

  // Whether anything changed since mark_selected(rules) was last called with the same rules.
  bool is_selected(const std::string& rules);
  void mark_selected(const std::string& rules);

  // Changes are durable after flush() (or destruction), and after every thousand or so of them.
  void record(const LedgerRow& row);
  void set_state(const std::string& place, const std::string& state, const std::string& reason = "");
  void set_duplicates(const std::string& source, const Json& duplicates);
  void replace_state(const std::string& from, const std::string& to);
  void flush();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Sources by state, and by "state: reason". Reads a ledger that nobody needs to hold; empty if there is none.
std::map<std::string, int64_t> ledger_counts(const std::filesystem::path& file);

}  // namespace retrace::synth
