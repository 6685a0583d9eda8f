// The result files of a synthesis stage, written record by record in their final sequence. One record and the
// index of one shard are in memory.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/files/files.h"
#include "synth/config.h"
#include "synth/record/store.h"

namespace retrace::synth {

class ResultWriter {
 public:
  // Removes what an earlier publication left. `n_records` decides the shards' names.
  ResultWriter(std::filesystem::path out, const SynthConfig& config, size_t n_records);
  void add(const Trajectory& trajectory, const Json& summary);
  void add_candidates(std::string_view lines);
  // The sums so far, to which a stage adds its own counts before finish().
  Json& total() { return total_; }
  // `done` is written last, with "trajectories" and the hash of the summary added.
  void finish(int round, const std::string& fold, Json done);

 private:
  std::string shard_name(size_t shard) const;
  std::filesystem::path out_;
  SynthConfig config_;
  size_t n_records_, added_ = 0;
  StagedFile candidates_;
  std::unique_ptr<TrajectoryWriter> writer_;
  Json total_;
  std::optional<Trajectory> example_;  // its page becomes example.html
  double example_rank_ = 0;
};

}  // namespace retrace::synth
