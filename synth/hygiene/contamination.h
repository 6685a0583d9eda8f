// Does a text share words with a benchmark? 12 words in a row, lower-cased and without punctuation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/recipe/recipe.h"
#include "synth/input/snapshot.h"

namespace retrace::synth {

class Contamination {
 public:
  // Indexes prompts, questions and solutions of what `data_folders` hold: humaneval/HumanEval.jsonl[.gz] and
  // gsm8k/test.jsonl; for each benchmark the first folder that has it counts. Error{corrupt} on a file that
  // is no such benchmark.
  static Contamination of(const std::vector<std::filesystem::path>& data_folders);
  void add(std::string_view text);
  bool in(std::string_view text) const;
  bool empty() const { return ngrams_.empty(); }
  // Tasks indexed by benchmark; 0 where no folder holds it.
  const std::map<std::string, int64_t>& tasks() const { return tasks_; }
  std::string digest() const;  // of the index

 private:
  std::unordered_set<uint64_t> ngrams_;
  std::map<std::string, int64_t> tasks_;
};

// What a recipe asks for: the benchmarks that eval.data_dir and the fetched data hold; nothing if
// hygiene.decontaminate is off.
Contamination contamination_of(const Recipe& recipe);
// The same reading, without files that share words with a benchmark. `index` may be null, and must outlive
// it.
SnapshotOptions without_contamination(SnapshotOptions options, const Contamination* index);

}  // namespace retrace::synth
