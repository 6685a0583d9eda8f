#include "train/step/step_runner.h"

namespace retrace::train {

StepRunner::StepRunner(PassWork& work, Shards& shards, int virtual_ranks, int num_domains,
                       std::function<void()> at_unit)
    : work_(work),
      shards_(shards),
      window_(shards),
      sink_(shards, virtual_ranks),
      num_domains_(num_domains),
      at_unit_(std::move(at_unit)) {
  const int head = shards.layout().num_units() - 1;
  for (int u = 0; u <= head; ++u) order_.push_back(u);
  if (shards.layout().config().tie_embeddings) order_.push_back(0);
  for (int u = head - 1; u > 0; --u) order_.push_back(u);
}

std::vector<StepLoss> StepRunner::run(const StepData& data) {
  shards_.gather_kept();
  sink_.begin_step();
  const size_t ranks = data.micro.size(), passes = data.micro.front().size();
  const auto domains = static_cast<size_t>(num_domains_);
  std::vector<StepLoss> losses(ranks, {0, std::vector<double>(domains), std::vector<double>(domains)});
  const auto one = [&](size_t r, size_t k) {
    sink_.begin_pass(static_cast<int>(r));
    pass(data.micro[r][k], losses[r]);
    sink_.end_pass();
  };
  // Real ranks meet at every micro-step, or once a step; virtual ranks add up in the same order.
  if (shards_.sharding() == Sharding::zero1_accumulate) {
    for (size_t r = 0; r < ranks; ++r) {
      for (size_t k = 0; k < passes; ++k) one(r, k);
      sink_.end_rank(static_cast<int>(r));
    }
  } else {
    for (size_t k = 0; k < passes; ++k)
      for (size_t r = 0; r < ranks; ++r) one(r, k);
  }
  sink_.end_step();
  return losses;
}

void StepRunner::pass(const MicroBatch& batch, StepLoss& loss) {
  const int head = shards_.layout().num_units() - 1;
  const bool tied = shards_.layout().config().tie_embeddings;
  window_.begin_pass(order_);
  work_.begin(batch);

  at_unit_();
  work_.embed(window_.next());
  for (int u = 1; u < head; ++u) {
    at_unit_();
    work_.block(u - 1, window_.next());
  }

  at_unit_();
  {
    model::Views weights = window_.next(!tied), gradients = sink_.open(head);
    if (tied) {
      weights.insert_or_assign("lm_head", window_.next(false).at("embed_tokens"));
      gradients.insert_or_assign("lm_head", sink_.open(0).at("embed_tokens"));
    }
    work_.head(weights, gradients);
  }
  sink_.close(head);
  if (tied) sink_.close(0);

  for (int u = head - 1; u > 0; --u) {
    at_unit_();
    const model::Views& weights = window_.next();
    work_.block_backward(u - 1, weights, sink_.open(u));
    sink_.close(u);
  }
  at_unit_();
  work_.embed_backward(sink_.open(0));
  sink_.close(0);
  work_.end(loss);
}

}  // namespace retrace::train
