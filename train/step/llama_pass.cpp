#include "train/step/llama_pass.h"

#include <optional>

#include "model/ops/host_memory.h"

namespace retrace::train {
namespace {

class LlamaPass final : public PassWork {
 public:
  LlamaPass(const model::Llama& llama, int64_t logit_chunk, Collectives* context)
      : llama_(llama), logit_chunk_(logit_chunk) {
    if (context) peers_.emplace(*context);
    if (llama.offloads_inputs())
      inputs_.emplace(c10::Device(llama.options().device), static_cast<size_t>(layers()));
  }

  void begin(const MicroBatch& batch) override {
    batch_ = &batch;
    context_ = llama_.prepare(batch.spans, peers_ ? &*peers_ : nullptr);
    saved_.assign(static_cast<size_t>(layers()), {});
  }
  void embed(const model::Views& weights) override { x_td_ = llama_.embed_forward(weights, batch_->ids); }
  void block(int layer, const model::Views& weights) override {
    const auto at = static_cast<size_t>(layer);
    if (waits_on_host(layer)) inputs_->send(at, x_td_);
    const at::Tensor y_td = llama_.block_forward(*context_, weights, x_td_, &saved_[at]);
    if (waits_on_host(layer)) {
      inputs_->sent(at);
      saved_[at].tensors.erase(kInput);
    }
    x_td_ = y_td;
  }
  void head(const model::Views& weights, model::Views& gradients) override {
    result_ = llama_.head(weights, x_td_, batch_->labels, batch_->weights, &gradients, logit_chunk_);
    x_td_.reset();
    dx_td_ = std::move(result_.dx_td);
  }
  void block_backward(int layer, const model::Views& weights, model::Views& gradients) override {
    const auto at = static_cast<size_t>(layer);
    if (layer > 0 && waits_on_host(layer - 1)) inputs_->fetch(at - 1);
    if (waits_on_host(layer)) saved_[at].tensors.emplace(kInput, inputs_->take(at));
    dx_td_ = llama_.block_backward(*context_, weights, saved_[at], std::move(dx_td_), gradients);
  }
  void embed_backward(model::Views& gradients) override {
    llama_.embed_backward(batch_->ids, dx_td_, gradients);
    dx_td_.reset();
  }

  void end(StepLoss& loss) override {
    loss.loss += result_.loss_sum;
    const float* nll = result_.nll_t.const_data_ptr<float>();
    for (const SequenceRange& range : batch_->sequences) {
      const auto d = static_cast<size_t>(range.domain);
      for (int64_t t = range.begin; t < range.end; ++t) {
        const auto weight = static_cast<double>(batch_->raw_weights[static_cast<size_t>(t)]);
        loss.domain_nll[d] += weight * static_cast<double>(nll[t]);
        loss.domain_weight[d] += weight;
      }
    }
  }

 private:
  static constexpr const char* kInput = "x";
  int64_t layers() const { return llama_.config().num_layers; }
  // The last block's input stays: its backward is the next to run.
  bool waits_on_host(int layer) const { return inputs_ && layer + 1 < layers(); }

  const model::Llama& llama_;
  int64_t logit_chunk_;
  std::optional<GroupPeers> peers_;
  const MicroBatch* batch_ = nullptr;
  std::shared_ptr<const model::Llama::Context> context_;
  std::vector<model::Saved> saved_;
  std::optional<model::HostStore> inputs_;
  model::Llama::HeadResult result_;
  at::Tensor x_td_, dx_td_;
};

}  // namespace

std::unique_ptr<PassWork> make_llama_pass(const model::Llama& llama, int64_t logit_chunk,
                                          Collectives* context) {
  return std::make_unique<LlamaPass>(llama, logit_chunk, context);
}

}  // namespace retrace::train
