// Heartbeats of all ranks in the job's store, and a monitor that ends this process (status 75) when a peer's
// heartbeats time out or a peer failed. A rank that lives but makes no progress is not noticed here: the
// collectives' own timeout ends that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace c10d {
class Store;
}

namespace retrace::train {

class Watchdog {
 public:
  // Waits until the ranks that this one watches have joined (rank 0 watches all, the others rank 0). The
  // store connection must be this watchdog's own; launcher_serves: not rank 0 serves it. Error{distributed}
  // names who did not come.
  Watchdog(std::shared_ptr<c10d::Store> store, const std::string& prefix, int rank, int size,
           double timeout_s, bool launcher_serves);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void activity(int64_t step, const char* phase);  // shown when this rank is lost; `phase` is a literal
  // First announcement wins; all ranks see it within about a second.
  void announce_leaving(int64_t step);
  int64_t leaving_step() const;  // INT64_MAX: nobody leaves
  // Peers that learn of it end with status 75 and this message. Stops this rank's own monitor.
  void report_failure(const std::string& message);
  // Ranks that sent no heartbeat for about a second, with what they last did: "rank 2 (step 7, forward)".
  std::vector<std::string> silent_ranks();
  void stop();  // no more heartbeats, no more monitoring

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::train
