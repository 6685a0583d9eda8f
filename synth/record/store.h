// Trajectory shards: one zstd frame a record, an index in the footer, published by rename.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "synth/record/trajectory.h"

namespace retrace::synth {

class TrajectoryWriter {
 public:
  explicit TrajectoryWriter(const std::filesystem::path& file);
  ~TrajectoryWriter();
  void add(const Trajectory& trajectory);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class TrajectoryReader {
 public:
  explicit TrajectoryReader(
      const std::filesystem::path& file);  // Error{corrupt} if it breaks the format's rules
  ~TrajectoryReader();
  size_t size() const;
  Trajectory read(size_t index) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// All shards (*.traj) of a folder, in name order.
void for_each_trajectory(const std::filesystem::path& folder,
                         const std::function<void(const Trajectory&)>& use);

}  // namespace retrace::synth
