// Runs the micro-batches of one optimizer step through the model, unit by unit, and leaves the summed
// gradients in the shards: which weights are gathered, which gradients reduced, and when. Knows nothing of
// the optimizer, of files or of time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "train/sharding/gradient_sink.h"
#include "train/sharding/weight_window.h"
#include "train/step/llama_pass.h"
#include "train/step/step_source.h"

namespace retrace::train {

class StepRunner {
 public:
  // `at_unit` is called before each unit's forward and backward; it may throw to leave the step.
  StepRunner(PassWork& work, Shards& shards, int virtual_ranks, int num_domains,
             std::function<void()> at_unit);
  // One entry for each (virtual) rank whose micro-batches `data` holds.
  std::vector<StepLoss> run(const StepData& data);
  void abandon() { sink_.abandon(); }

 private:
  void pass(const MicroBatch& batch, StepLoss& loss);

  PassWork& work_;
  Shards& shards_;
  WeightWindow window_;
  GradientSink sink_;
  int num_domains_;
  std::function<void()> at_unit_;
  std::vector<int> order_;
};

}  // namespace retrace::train
