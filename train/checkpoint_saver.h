// The save protocol over all ranks: partial folder, every rank's part, manifest, rename; then the hint
// `latest` and the purge. Ranks agree through the store, never inside a collective.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "train/checkpoint.h"
#include "train/shards.h"
#include "train/world.h"

namespace retrace::train {

class CheckpointSaver {
 public:
  CheckpointSaver(World& world, Shards& shards, std::filesystem::path root, const CheckpointConfig& config);
  // Publishes root/step-N with the present state. `draft` says everything but files and hashes. All ranks
  // call it and all learn the outcome: true, or false if the save failed on any rank (warned and counted;
  // nothing is left behind). Error{io} after max_failures in a row, or at once if `must` is set.
  bool save(Manifest draft, bool must, double timeout_s);
  const std::string& root_hash() const { return root_hash_; }  // of the last save
  double last_save_s() const { return last_save_s_; }
  int64_t failures_in_a_row() const { return failures_; }

 private:
  void save_part(const std::string& key, const std::filesystem::path& partial, int64_t step);
  std::string publish(const std::string& key, const std::filesystem::path& partial, Manifest& draft,
                      double timeout_s);
  void tidy_up(const Manifest& draft);

  World& world_;
  Shards& shards_;
  std::filesystem::path root_;
  CheckpointConfig config_;
  std::string root_hash_;
  double last_save_s_ = 0;
  int64_t failures_ = 0;
};

// Loads the newest checkpoint of `round` that verifies on every rank, or `only` if it is given; what it
// refuses is named in warnings. `check` may throw to refuse a checkpoint of another recipe. All ranks call it
// and get the same answer.
std::optional<Manifest> load_newest(World& world, Shards& shards, const std::filesystem::path& root,
                                    int64_t round, const std::filesystem::path& only,
                                    const std::function<void(const Manifest&)>& check);

}  // namespace retrace::train
