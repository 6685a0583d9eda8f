#include "train/step_runner.h"

namespace retrace::train {

StepRunner::StepRunner(const model::Llama& llama, Shards& shards, int virtual_ranks, int num_domains,
                       int64_t logit_chunk, std::function<void()> at_unit)
    : llama_(llama),
      shards_(shards),
      window_(shards),
      sink_(shards, virtual_ranks),
      num_domains_(num_domains),
      logit_chunk_(logit_chunk),
      at_unit_(std::move(at_unit)) {
  const int head = shards.layout().num_units() - 1;
  for (int u = 0; u <= head; ++u) order_.push_back(u);
  if (llama.config().tie_embeddings) order_.push_back(0);
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
  const bool tied = llama_.config().tie_embeddings;
  window_.begin_pass(order_);
  const auto context = llama_.prepare(batch.spans);
  std::vector<model::Saved> saved(static_cast<size_t>(head - 1));

  at_unit_();
  at::Tensor x_td = llama_.embed_forward(window_.next(), batch.ids);
  for (int u = 1; u < head; ++u) {
    at_unit_();
    x_td = llama_.block_forward(*context, window_.next(), x_td, &saved[static_cast<size_t>(u - 1)]);
  }

  at_unit_();
  model::Views weights = window_.next(!tied), gradients = sink_.open(head);
  if (tied) {
    weights.insert_or_assign("lm_head", window_.next(false).at("embed_tokens"));
    gradients.insert_or_assign("lm_head", sink_.open(0).at("embed_tokens"));
  }
  model::Llama::HeadResult result =
      llama_.head(weights, x_td, batch.labels, batch.weights, &gradients, logit_chunk_);
  sink_.close(head);
  if (tied) sink_.close(0);

  x_td.reset();
  at::Tensor dx_td = std::move(result.dx_td);
  for (int u = head - 1; u > 0; --u) {
    at_unit_();
    dx_td = llama_.block_backward(*context, window_.next(), saved[static_cast<size_t>(u - 1)], dx_td,
                                  sink_.open(u));
    sink_.close(u);
  }
  at_unit_();
  llama_.embed_backward(batch.ids, dx_td, sink_.open(0));
  sink_.close(0);

  loss.loss += result.loss_sum;
  const float* nll = result.nll_t.const_data_ptr<float>();
  for (const SequenceRange& range : batch.sequences) {
    const auto d = static_cast<size_t>(range.domain);
    for (int64_t t = range.begin; t < range.end; ++t) {
      const auto weight = static_cast<double>(batch.raw_weights[static_cast<size_t>(t)]);
      loss.domain_nll[d] += weight * static_cast<double>(nll[t]);
      loss.domain_weight[d] += weight;
    }
  }
}

}  // namespace retrace::train
