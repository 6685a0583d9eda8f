#include "train/step/forward_backward.h"

namespace retrace::train {
namespace {

struct MicroStep {
  size_t rank, index;
  bool last_of_rank;
};

// Real ranks meet at every micro-step, or once a step; virtual ranks add up in the same order.
std::vector<MicroStep> micro_steps(size_t ranks, size_t passes, bool rank_by_rank) {
  std::vector<MicroStep> order;
  for (size_t i = 0; i < ranks * passes; ++i) {
    const size_t rank = rank_by_rank ? i / passes : i % ranks, index = rank_by_rank ? i % passes : i / ranks;
    order.push_back({rank, index, index + 1 == passes});
  }
  return order;
}

}  // namespace

ForwardBackward::ForwardBackward(PassWork& work, Shards& shards, int virtual_ranks, int num_domains,
                                 std::function<void()> at_unit, Trace* trace)
    : work_(work),
      shards_(shards),
      window_(shards),
      sink_(shards, virtual_ranks),
      num_domains_(num_domains),
      at_unit_(std::move(at_unit)),
      trace_(trace),
      head_(shards.layout().num_units() - 1),
      tied_(shards.layout().config().tie_embeddings) {
  for (int u = 0; u <= head_; ++u) order_.push_back(u);
  if (tied_) order_.push_back(0);
  for (int u = head_ - 1; u > 0; --u) order_.push_back(u);
}

std::vector<StepLoss> ForwardBackward::run(const StepBatch& batch) {
  shards_.gather_kept();
  sink_.begin_step();
  const size_t ranks = batch.micro.size(), passes = batch.micro.front().size();
  const auto domains = static_cast<size_t>(num_domains_);
  const bool rank_by_rank = shards_.sharding() == Sharding::zero1_accumulate;
  std::vector<StepLoss> losses(ranks, {0, std::vector<double>(domains), std::vector<double>(domains)});
  for (const auto& [rank, index, last_of_rank] : micro_steps(ranks, passes, rank_by_rank)) {
    sink_.begin_pass(static_cast<int>(rank));
    window_.begin_pass(order_);
    {
      const Trace::Span span(trace_, Phase::forward);
      work_.begin(batch.micro[rank][index]);
    }
    for (int u = 0; u < head_; ++u) {
      at_unit_();
      const model::Views& weights = window_.next();
      const Trace::Span span(trace_, Phase::forward);
      if (u == 0)
        work_.embed(weights);
      else
        work_.block(u - 1, weights);
    }

    at_unit_();
    {
      HeadViews head = open_head();
      const Trace::Span span(trace_, Phase::head);
      work_.head(head.weights, head.gradients);
    }
    close_head();

    for (int u = head_ - 1; u > 0; --u) {
      at_unit_();
      const model::Views& weights = window_.next();
      model::Views& gradients = sink_.open(u);
      {
        const Trace::Span span(trace_, Phase::backward);
        work_.block_backward(u - 1, weights, gradients);
      }
      sink_.close(u);
    }
    at_unit_();
    model::Views& gradients = sink_.open(0);
    {
      const Trace::Span span(trace_, Phase::backward);
      work_.embed_backward(gradients);
    }
    sink_.close(0);
    work_.end(losses[rank]);
    sink_.end_pass();
    if (rank_by_rank && last_of_rank) sink_.end_rank(static_cast<int>(rank));
  }
  sink_.end_step();
  return losses;
}

ForwardBackward::HeadViews ForwardBackward::open_head() {
  HeadViews head{window_.next(!tied_), sink_.open(head_)};
  if (tied_) {
    head.weights.insert_or_assign("lm_head", window_.next(false).at("embed_tokens"));
    head.gradients.insert_or_assign("lm_head", sink_.open(0).at("embed_tokens"));
  }
  return head;
}

void ForwardBackward::close_head() {
  sink_.close(head_);
  if (tied_) sink_.close(0);
}

}  // namespace retrace::train
