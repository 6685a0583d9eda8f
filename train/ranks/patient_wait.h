// Waiting for a c10d transfer while looking around from time to time.
#pragma once

#include <chrono>
#include <exception>
#include <torch/csrc/distributed/c10d/Work.hpp>

namespace retrace::train {

// Returns when `work` has ended well and throws what it failed with. Every `patience` it calls while_waiting,
// which may throw to leave a transfer that cannot end.
template <class WhileWaiting>
void wait_patiently(c10d::Work& work, std::chrono::milliseconds patience, const WhileWaiting& while_waiting) {
  for (;;) {
    try {
      work.wait(patience);
      return;
    } catch (const std::exception&) {
      // Patience that ends looks like a failure. Of a transfer that ended since, only the transfer can tell.
      if (work.isCompleted()) break;
    }
    while_waiting();
  }
  work.wait();
}

}  // namespace retrace::train
