// One process (group) at a time on a run folder. The holder is named by host, boot, process and start time,
// and keeps a heartbeat, so that a lock left by a killed run is recognised and taken over, also from another
// host.
#pragma once

#include <filesystem>
#include <memory>

namespace retrace {

class RunLock {
 public:
  // Creates the folder if needed. Error{io} naming the holder if a living process has it.
  explicit RunLock(const std::filesystem::path& run_folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace
