// Elapsed time by the monotonic clock: no change of the wall clock counts.
#pragma once

#include <chrono>
#include <thread>

namespace retrace {

using Clock = std::chrono::steady_clock;

inline double elapsed_s(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

}  // namespace retrace
