#include "model/llama/llama.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "core/error.h"
#include "model/llama/block_program.h"
#include "model/llama/llama_context.h"
#include "model/ops/cross_entropy.h"
#include "model/ops/embedding.h"
#include "model/ops/host_memory.h"
#include "model/ops/rms_norm.h"

namespace retrace::model {

struct Llama::State {
  LlamaConfig config;
  ComputeOptions options;
  BlockPlan training, inference;
  at::Tensor inverse_frequencies;
};

std::vector<int32_t> packed_positions(const std::vector<int64_t>& starts, int64_t first, bool continuous) {
  std::vector<int32_t> positions;
  positions.reserve(static_cast<size_t>(starts.back()));
  for (size_t i = 0; i + 1 < starts.size(); ++i)
    for (int64_t t = starts[i]; t < starts[i + 1]; ++t)
      positions.push_back(static_cast<int32_t>(first + (continuous ? t : t - starts[i])));
  return positions;
}

Llama::Llama(const LlamaConfig& config, const ComputeOptions& options) {
  if (options.rms_norm != "hf" && options.rms_norm != "prolong")
    throw Error(Code::recipe, fmt::format("unknown RMSNorm flavour '{}'", options.rms_norm),
                "use hf or prolong");
  if (config.num_kv_heads < 1 || config.num_heads % config.num_kv_heads != 0 || config.head_dim % 2 != 0)
    fail(Code::input, "{} heads, {} key-value heads and a head dimension of {} do not fit together",
         config.num_heads, config.num_kv_heads, config.head_dim);
  const int64_t tile = options.mlp_tile_tokens;
  state_ = std::make_unique<State>(State{
      config, options, plan_block({options.recompute, tile, options.offload}),
      plan_block({.recompute = "inference", .mlp_tile_tokens = tile}), rope_inverse_frequencies(config)});
}
Llama::~Llama() = default;

const LlamaConfig& Llama::config() const {
  return state_->config;
}
const ComputeOptions& Llama::options() const {
  return state_->options;
}

bool Llama::offloads_inputs() const {
  return !state_->training.offloaded.empty();
}

std::shared_ptr<const Llama::Context> Llama::prepare(const Spans& spans, ContextPeers* peers) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  if (spans.starts.empty()) fail(Code::input, "a packed sequence has no document spans");
  check_spans(spans.starts, spans.tokens());
  if (peers && spans.tokens() % peers->size() != 0)
    fail(Code::internal, "{} tokens are not shared equally by {} ranks", spans.tokens(), peers->size());
  return std::make_shared<Context>(
      Context{spans.starts,
              rope_angles(state_->inverse_frequencies,
                          packed_positions(spans.starts, 0, state_->options.continuous_positions),
                          c10::Device(state_->options.device)),
              peers});
}

at::Tensor Llama::embed_forward(const Views& weights, const at::Tensor& ids_t) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  return embedding_forward(weights.at("embed_tokens"), ids_t);
}

void Llama::embed_backward(const at::Tensor& ids_t, const at::Tensor& dx_td, Views& gradients) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  embedding_backward(ids_t, dx_td, gradients.at("embed_tokens"));
}

at::Tensor Llama::block_forward(const Context& context, const Views& weights, const at::Tensor& x_td,
                                Saved* saved) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const int64_t tokens = context.starts.back() / (context.peers ? context.peers->size() : 1);
  if (x_td.size(0) != tokens)
    fail(Code::input, "{} rows go into a block, the document spans hold {} tokens", x_td.size(0), tokens);
  const BlockPlan& plan = saved ? state_->training : state_->inference;
  BlockFrame frame{state_->config, context.starts, context.angles, weights, state_->options.rms_norm == "hf"};
  frame.peers = context.peers;
  frame.value(Slot::x) = x_td;
  PlanRun run(plan.forward, frame);
  while (const OpRun op = run.next()) op(run.frame());
  if (saved) {
    saved->tensors.clear();
    for (Slot slot : plan.kept) saved->tensors.emplace(slot_name(slot), frame.value(slot));
  }
  return frame.value(Slot::y);
}

at::Tensor Llama::block_backward(const Context& context, const Views& weights, Saved& saved, at::Tensor dy_td,
                                 Views& gradients) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const BlockPlan& plan = state_->training;
  BlockFrame frame{state_->config, context.starts, context.angles, weights, state_->options.rms_norm == "hf",
                   &gradients};
  frame.peers = context.peers;
  for (Slot slot : plan.kept) {
    const auto found = saved.tensors.find(slot_name(slot));
    if (found == saved.tensors.end())
      fail(Code::internal,
           "a block's backward lacks '{}'; was its forward run with the same recompute level?",
           slot_name(slot));
    frame.value(slot) = std::move(found->second);
  }
  saved.tensors.clear();
  frame.gradient(Slot::y) = std::move(dy_td);
  PlanRun run(plan.backward, frame);
  while (const OpRun op = run.next()) op(run.frame());
  return frame.gradient(Slot::x);
}

Llama::HeadResult Llama::head(const Views& head_weights, const at::Tensor& x_td, const at::Tensor& labels_t,
                              const at::Tensor& weights_t, Views* gradients, int64_t chunk) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const bool hf = state_->options.rms_norm == "hf";
  const int64_t tokens = x_td.size(0);
  const int64_t* const labels = labels_t.const_data_ptr<int64_t>();
  std::vector<int64_t> labelled;
  for (int64_t t = 0; t < tokens; ++t)
    if (labels[t] >= 0) labelled.push_back(t);
  const int64_t rows = static_cast<int64_t>(labelled.size());
  HeadResult result;
  result.nll_t = at::zeros({tokens}, at::kFloat);
  if (rows == 0) {
    if (gradients) result.dx_td = at::zeros_like(x_td);
    return result;
  }
  // Rows without a label have neither loss nor gradient: they are left out of the products.
  const bool all = rows == tokens;
  const at::Tensor index_r = at::from_blob(labelled.data(), {rows}, at::kLong);
  const at::Tensor index_there = index_r.to(x_td.device());
  const auto gathered = [&](const at::Tensor& t) {
    return all ? t : at::index_select(t, 0, t.is_cpu() ? index_r : index_there);
  };
  const at::Tensor x_rd = gathered(x_td), labels_r = gathered(labels_t), weights_r = gathered(weights_t);
  const at::Tensor& norm_d = head_weights.at("norm");
  const RmsNormResult norm = rms_norm_forward(x_rd, norm_d, state_->config.rms_norm_eps, hf);
  at::Tensor nll_r = at::empty({rows}, x_td.options().dtype(at::kFloat)), dn_rd, dhead_vd;
  if (gradients) {
    dn_rd = at::empty_like(norm.y_td);
    dhead_vd = gradients->at("lm_head");
  }
  chunked_cross_entropy(norm.y_td, head_weights.at("lm_head"), labels_r, weights_r, chunk, nll_r, dn_rd,
                        dhead_vd);
  nll_r = to_host(nll_r);
  for (int64_t r = 0; r < rows; ++r)
    result.loss_sum += static_cast<double>(weights_r.const_data_ptr<float>()[r]) *
                       static_cast<double>(nll_r.const_data_ptr<float>()[r]);
  result.nll_t = all ? nll_r : at::index_copy(result.nll_t, 0, index_r, nll_r);
  if (!gradients) return result;
  const at::Tensor dx_rd = rms_norm_backward(x_rd, norm_d, norm.rstd_t, dn_rd, {}, gradients->at("norm"), hf);
  result.dx_td = all ? dx_rd : at::index_copy(at::zeros_like(x_td), 0, index_there, dx_rd);
  return result;
}

}  // namespace retrace::model
