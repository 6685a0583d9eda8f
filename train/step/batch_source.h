// From the mixture to what a rank computes in one optimizer step: sequences assigned to ranks, packed into
// micro-batches, with labels and the weight of each label in the loss fixed before any forward pass.
// Every rank reads all sequences of a step, so that none has to tell another what it saw.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "data/mixture/mixture.h"
#include "model/llama/llama.h"
#include "train/config.h"

namespace retrace::train {

// A range of a micro-batch's tokens that is one sequence of one domain.
struct SequenceRange {
  int64_t begin, end;
  int domain;
};

// Where ranks share a sequence, the tokens of this one; `spans` are of all their tokens.
struct MicroBatch {
  at::Tensor ids, labels, weights;  // int64, int64 (-1 = none), fp32 weight of the label in the loss
  std::vector<float> raw_weights;   // the labels' weights as the samples give them, 0 where no label
  model::Spans spans;
  std::vector<SequenceRange> sequences;
};

struct StepBatch {
  int64_t step = 0;
  // [rank][micro-step]: one entry for a real rank, one each for virtual ranks. All are equally long.
  std::vector<std::vector<MicroBatch>> micro;
  // Over all ranks:
  int64_t tokens = 0;          // that go through the model
  int64_t label_tokens = 0;    // with a weight above 0
  int64_t skipped_tokens = 0;  // in documents without any label (padding, observations): no loss, no gradient
  int64_t sequences_without_labels = 0;
  std::vector<std::string> batch_ids;  // "domain:sample", to find the data of a bad step
};

struct BatchOptions {
  int64_t batch_sequences = 1, micro_batch = 1;
  std::string loss = "sequence_mean";
  double cost_a = 1, cost_b = 0;
  bool continuous_positions = false;
  int64_t vocab_size = 0;
  int32_t pad = 0;
  int rank = 0, world = 1, virtual_ranks = 1;
  int context = 1;         // consecutive ranks that share each sequence; divides world
  bool meet_once = false;  // ranks meet at the end of the step only, not at every micro-step
};

class BatchSource {
 public:
  // Error{recipe} for options that do not go together.
  BatchSource(const data::Mixture& mixture, const BatchOptions& options);
  // `step` counts from 0 in the round. Error{corrupt} for a token outside the vocabulary or a weight that is
  // negative or not finite.
  StepBatch make(int64_t step) const;

 private:
  const data::Mixture& mixture_;
  BatchOptions options_;
};

}  // namespace retrace::train
