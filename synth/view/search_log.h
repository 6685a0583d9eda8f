// What the search tried, read back from the candidates.jsonl beside a shard: for people, never for packing.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "synth/record/trajectory.h"

namespace retrace::synth {

struct TriedText {
  int n = 0, parent = -1, iteration = 0;  // n = 0 is the first draft
  std::string text, author, mode, verdict;
  std::optional<double> nll;  // nats over the target; none if it was not scored
  int64_t verbatim_lines = 0;
  double ngram13 = 0;
};

struct SlotSearch {
  std::vector<TriedText> tried;  // by n; never empty
  Body target;                   // the code that was scored
  int64_t target_bytes = 0;
  std::optional<double> none_nll;  // the same code after no thought at all
  std::string dropped;             // why no thought stands there now, or ""
  // With search.controls: by who scored ("scorer", "judge") and arm ("initial", "shuffled", ...), nats.
  std::map<std::string, std::map<std::string, double>> controls;

  const TriedText& first() const { return tried.front(); }
  const TriedText& chosen() const;  // the last that was accepted, else the first draft
};

using SearchLog = std::map<int, SlotSearch>;  // by slot

// Of one record. Empty if there is no candidates.jsonl beside `shard` or it does not name the record.
// Error{corrupt} on a line that is none of ours.
SearchLog read_search_log(const std::filesystem::path& shard, const Trajectory& t);

// "kept", or why a text lost, in words.
std::string verdict_in_words(const TriedText& tried);

struct SearchTotals {
  int64_t thoughts = 0, searched = 0, replaced = 0, dropped = 0, tried = 0, target_bytes = 0;
  double gain_nats = 0;                     // first drafts against what was chosen
  std::map<std::string, int64_t> verdicts;  // of all texts but first drafts
};
SearchTotals search_totals(const Trajectory& t, const SearchLog& log);

}  // namespace retrace::synth
