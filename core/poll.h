// Polling with exponential back-off, for what can only be asked: a key in a store, a file, a child process.
#pragma once

#include <algorithm>
#include <limits>

#include "core/clock.h"

namespace retrace {

struct PollOptions {
  double timeout_s = std::numeric_limits<double>::infinity();  // after `start`
  double first_pause_s = 0.001;                                // doubles after each pause, up to
  double longest_pause_s = 0.05;                               // this; equal to the first: a constant pause
  Clock::time_point start = Clock::now();
};

// Calls `ready` until its answer (bool, std::optional or a pointer) is true and returns that answer; a false
// one when timeout_s have passed. Asks at least once, and never sleeps past a true answer. An exception of
// `ready` ends the polling: that is how a stop request gets through. A pause is not cut short by the
// deadline.
template <class Ready>
auto poll_until(const PollOptions& options, Ready ready) -> decltype(ready()) {
  for (double pause_s = options.first_pause_s;;) {
    if (auto answer = ready()) return answer;
    if (elapsed_s(options.start) >= options.timeout_s) return {};
    sleep_s(pause_s);
    pause_s = std::min(pause_s * 2, options.longest_pause_s);
  }
}

}  // namespace retrace
