// Runs the micro-batches of one optimizer step through the model, unit by unit, and leaves the summed
// gradients in the shards: which weights are gathered, which gradients reduced, and when. Knows nothing of
// the optimizer or of files.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "train/sharding/gradient_sink.h"
#include "train/sharding/weight_window.h"
#include "train/step/batch_source.h"
#include "train/step/llama_pass.h"
#include "train/step/trace.h"

namespace retrace::train {

class ForwardBackward {
 public:
  // `at_unit` is called before each unit's forward and backward; it may throw to leave the step. `trace` gets
  // the time of computing alone, without the waits for transfers.
  ForwardBackward(PassWork& work, Shards& shards, int virtual_ranks, int num_domains,
                  std::function<void()> at_unit, Trace* trace = nullptr);
  // One entry for each (virtual) rank whose micro-batches `batch` holds.
  std::vector<StepLoss> run(const StepBatch& batch);
  void abandon() { sink_.abandon(); }

 private:
  struct HeadViews {
    model::Views weights, gradients;
  };
  HeadViews open_head();
  void close_head();

  PassWork& work_;
  Shards& shards_;
  WeightWindow window_;
  GradientSink sink_;
  int num_domains_;
  std::function<void()> at_unit_;
  Trace* trace_;
  int head_;   // its unit; unit 0 is the embedding, the blocks lie between
  bool tied_;  // the head multiplies with the embedding
  std::vector<int> order_;
};

}  // namespace retrace::train
