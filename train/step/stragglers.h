// Which rank the others wait for: each rank's own work (reading and computing, without waits) of each step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::train {

class Stragglers {
 public:
  // The ranks' work of a step, seconds; the same on every rank.
  struct Step {
    int slowest = 0;
    double slowest_s = 0, mean_s = 0;
  };
  Step add(const std::vector<double>& busy_s);
  // "rank 3 was the slowest in 41 of 50 steps; ..." or "" for one rank or no step.
  std::string report() const;

 private:
  std::vector<int64_t> slowest_;  // steps in which a rank was the slowest
  std::vector<double> work_s_;    // of each rank
  double waited_s_ = 0;           // rank-seconds that the others had to spare
  int64_t steps_ = 0;
};

}  // namespace retrace::train
