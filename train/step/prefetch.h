// Makes the data of coming steps on a thread of its own, so that reading and decoding hide behind computing.
#pragma once

#include <cstdint>
#include <memory>

#include "train/step/batch_source.h"

namespace retrace::train {

class Prefetch {
 public:
  // Steps [first, last), in order, at most `ahead` of them waiting.
  Prefetch(const BatchSource& source, int64_t first, int64_t last, int ahead = 2);
  ~Prefetch();
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;
  // The next step's data; errors of the thread are thrown here. Adds the time it waited to wait_s().
  StepBatch next();
  double wait_s() const { return wait_s_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  double wait_s_ = 0;
};

}  // namespace retrace::train
