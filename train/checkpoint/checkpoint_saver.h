// The save protocol over all ranks: partial folder, every rank's part, manifest, rename; then the hint
// `latest` and the purge. Ranks agree through the store, never inside a collective, so that a save can run on
// a thread of its own, from a copy of the state, while training goes on.
#pragma once

#include <atomic>
#include <filesystem>
#include <future>
#include <limits>
#include <optional>
#include <string>
#include <thread>

#include "train/checkpoint/folders.h"
#include "train/checkpoint/state_io.h"
#include "train/sharding/shards.h"
#include "train/world.h"

namespace retrace::train {

// Every function but running() and the getters is called by all ranks alike.
class CheckpointSaver {
 public:
  CheckpointSaver(World& world, Shards& shards, std::filesystem::path root, const CheckpointConfig& config);
  ~CheckpointSaver();  // aborts an unfinished save
  CheckpointSaver(const CheckpointSaver&) = delete;
  CheckpointSaver& operator=(const CheckpointSaver&) = delete;

  // Publishes root/step-N with the present state. `draft` says everything but files and hashes. All ranks
  // learn the outcome: true, or false if the save failed on any rank (warned and counted; nothing is left
  // behind). Error{io} after max_failures in a row, or at once if `must` is set. No save may be unfinished.
  bool save(Manifest draft, bool must, double timeout_s);
  // The same from a copy of the state, on a thread; returns when the state may change again.
  void start(Manifest draft, double timeout_s);
  bool running() const;  // a save that was started has not ended on this rank
  // Waits for the save that start() began and gives what save() would have; nothing if there is none, or if
  // it has not ended after at_most_s.
  std::optional<bool> finish(double at_most_s = std::numeric_limits<double>::infinity());

  const std::string& root_hash() const { return root_hash_; }  // of the last good save
  int64_t saved_step() const { return saved_step_; }           // its step; -1 before the first
  double last_save_s() const { return last_save_s_; }
  int64_t failures_in_a_row() const { return failures_; }

 private:
  struct Outcome {
    int64_t step = 0;
    std::string problem, root;  // problem "" = published
    double took_s = 0;
  };
  Outcome run(const std::string& key, Manifest draft, const StateView& state, double timeout_s);
  std::string publish(const std::filesystem::path& partial, const std::vector<std::string>& texts,
                      Manifest& draft);
  void remove_partial(int64_t step);
  void write_latest_and_purge(const Manifest& draft);
  bool report_outcome(const Outcome& outcome, bool must);

  World& world_;
  Shards& shards_;
  std::filesystem::path root_;
  CheckpointConfig config_;
  StateCopy copy_;
  std::thread thread_;
  std::future<Outcome> outcome_;  // valid from start() to finish()
  std::atomic<bool> stop_ = false;
  std::string root_hash_;
  int64_t saved_step_ = -1;
  double last_save_s_ = 0;
  int64_t failures_ = 0;
};

}  // namespace retrace::train
