// One repository's synthesis: structure, skeleton, first drafts, search.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/recipe/run_config.h"
#include "synth/config.h"
#include "synth/search/search.h"
#include "synth/stage/backends.h"
#include "synth/stage/job.h"

namespace retrace::synth {

struct MadeRecord {
  Trajectory trajectory;
  std::string candidates;  // JSON lines
  Json summary;            // synth/stage/record_summary.h
};

class RecordMaker {
 public:
  // `beside`: that of another thread of this rank; language models are asked together with it.
  RecordMaker(const Recipe& recipe, const SynthJob& job, const SynthModels& models,
              const RecordMaker* beside = nullptr);
  // Before the first item, by one thread of each rank; all ranks meet here if language models are asked.
  void start() { models_.start(); }
  // `tick` is called before each scoring and while answers are waited for, `part` with how much is done
  // (0 to 1).
  MadeRecord make(const Snapshot& snapshot, const std::function<void()>& tick,
                  const std::function<void(double)>& part);
  // One rank, once every item is made: puts together what the items were answered.
  void publish() { models_.publish(); }

  const std::string& recipe_hash() const { return recipe_hash_; }
  // All that decides a repository's record beside the scorer, as text; and with the scorer, as a hash.
  std::string inputs_text(const std::string& tree, const std::string& origin, const std::string& revision,
                          const std::string& licence, const std::string& date) const;
  std::string record_key(const std::string& inputs_text) const;
  std::string scorer_name() const { return scorer_ ? scorer_->name() : "none"; }
  // What the scorer's weights are called in records; "" without a scorer of its own.
  const std::string& weights_name() const { return weights_name_; }
  // Hash of the local generator's weights; "" where there is none, or where they are not loaded.
  const std::string& writer_weights() const { return models_.writer_weights(); }
  // Who wrote, scored and judged, for the summary.
  Json models() const;
  bool searches() const { return scorer_ != nullptr; }
  // Whether an item takes long, because it is searched or asked for.
  bool is_slow() { return searches() || models_.generator() != nullptr; }

 private:
  Trajectory skeleton_of(const Snapshot& snapshot, const Structure& structure) const;
  void show_progress(const Trajectory& t, const std::function<void(double)>& part);
  // The summary of the search; chosen thoughts and candidates go into the item.
  Json search(MadeRecord& item, const Snapshot& snapshot, const Structure& structure,
              const std::function<void()>& tick);
  // Drops contaminated prose, sums up and closes the evidence.
  void finish(MadeRecord& item, const Snapshot& snapshot, const Json& searched);

  const SynthJob& job_;
  SynthConfig config_;
  std::unique_ptr<Generator> template_;
  Backends models_;
  Generator* generator_;
  SearchOptions options_;
  Scorer *scorer_ = nullptr, *judge_ = nullptr;
  std::string recipe_hash_, weights_name_;
};

// Prose that shares an n-gram with a benchmark is dropped ("contaminated"). Returns how many slots were so,
// and sets the trajectory's rev anew if there were any.
int64_t drop_contaminated(Trajectory& t, const Contamination& contamination);

}  // namespace retrace::synth
