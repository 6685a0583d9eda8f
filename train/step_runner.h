// Runs the micro-batches of one optimizer step through the model, unit by unit, and leaves the summed
// gradients in the shards. Knows nothing of the optimizer, of files or of time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/llama.h"
#include "train/gradient_sink.h"
#include "train/step_source.h"
#include "train/weight_window.h"

namespace retrace::train {

// What a rank saw in a step: its share of the loss, and per domain the sum of weight * nll and of weights.
struct StepLoss {
  double loss = 0;
  std::vector<double> domain_nll, domain_weight;
};

class StepRunner {
 public:
  // `at_unit` is called before each unit's forward and backward; it may throw to leave the step.
  StepRunner(const model::Llama& llama, Shards& shards, int virtual_ranks, int num_domains,
             int64_t logit_chunk, std::function<void()> at_unit);
  // One entry for each (virtual) rank whose micro-batches `data` holds.
  std::vector<StepLoss> run(const StepData& data);
  void abandon() { sink_.abandon(); }

 private:
  void pass(const MicroBatch& batch, StepLoss& loss);

  const model::Llama& llama_;
  Shards& shards_;
  WeightWindow window_;
  GradientSink sink_;
  int num_domains_;
  int64_t logit_chunk_;
  std::function<void()> at_unit_;
  std::vector<int> order_;
};

}  // namespace retrace::train
