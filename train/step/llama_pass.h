// The computing half of a pass: what a unit does with gathered weights and opened gradients. ForwardBackward
// decides when; whoever only counts transfers does nothing here.
#pragma once

#include <memory>
#include <vector>

#include "model/llama/llama.h"
#include "model/ops/head_exchange.h"
#include "train/ranks/collectives.h"
#include "train/step/batch_source.h"

namespace retrace::train {

// What a rank saw in a step: its share of the loss, and per domain the sum of weight * nll and of weights.
struct StepLoss {
  double loss = 0;
  std::vector<double> domain_nll, domain_weight;
};

// Calls come in the order of a pass: begin, embed, block 0.., head, block_backward ..0, embed_backward.
class PassWork {
 public:
  virtual ~PassWork() = default;
  virtual void begin(const MicroBatch& batch) = 0;
  virtual void embed(const model::Views& weights) = 0;
  virtual void block(int layer, const model::Views& weights) = 0;
  // With tied embeddings both views hold the embedding under "lm_head".
  virtual void head(const model::Views& weights, model::Views& gradients) = 0;
  virtual void block_backward(int layer, const model::Views& weights, model::Views& gradients) = 0;
  virtual void embed_backward(model::Views& gradients) = 0;
  virtual void end(StepLoss& loss) = 0;  // adds this pass's share
};

// Llama's forward and backward. `context`: the ranks that share each sequence; null = this one alone.
std::unique_ptr<PassWork> make_llama_pass(const model::Llama& llama, int64_t logit_chunk,
                                          Collectives* context = nullptr);

// A group of ranks as the model's attention needs it.
class GroupPeers final : public model::ContextPeers {
 public:
  explicit GroupPeers(Collectives& group) : group_(group) {}
  int64_t size() const override { return group_.size(); }
  void all_to_all(const at::Tensor& in, const at::Tensor& out) override {
    group_.start_all_to_all(in, out)->wait();
  }

 private:
  Collectives& group_;
};

}  // namespace retrace::train
