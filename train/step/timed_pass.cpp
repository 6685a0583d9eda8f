#include "train/step/timed_pass.h"

namespace retrace::train {
namespace {

class TimedPass final : public PassWork {
 public:
  TimedPass(std::unique_ptr<PassWork> work, Trace& trace) : work_(std::move(work)), trace_(trace) {}

  void begin(const MicroBatch& batch) override {
    const Trace::Span span(trace_, Phase::forward);
    work_->begin(batch);
  }
  void embed(const model::Views& weights) override {
    const Trace::Span span(trace_, Phase::forward);
    work_->embed(weights);
  }
  void block(int layer, const model::Views& weights) override {
    const Trace::Span span(trace_, Phase::forward);
    work_->block(layer, weights);
  }
  void head(const model::Views& weights, model::Views& gradients) override {
    const Trace::Span span(trace_, Phase::head);
    work_->head(weights, gradients);
  }
  void block_backward(int layer, const model::Views& weights, model::Views& gradients) override {
    const Trace::Span span(trace_, Phase::backward);
    work_->block_backward(layer, weights, gradients);
  }
  void embed_backward(model::Views& gradients) override {
    const Trace::Span span(trace_, Phase::backward);
    work_->embed_backward(gradients);
  }
  void end(StepLoss& loss) override { work_->end(loss); }

 private:
  std::unique_ptr<PassWork> work_;
  Trace& trace_;
};

}  // namespace

std::unique_ptr<PassWork> make_timed_pass(std::unique_ptr<PassWork> work, Trace& trace) {
  return std::make_unique<TimedPass>(std::move(work), trace);
}

}  // namespace retrace::train
