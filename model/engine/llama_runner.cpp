#include "model/engine/llama_runner.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "model/llama/llama_context.h"
#include "model/ops/cross_entropy.h"
#include "model/ops/embedding.h"
#include "model/ops/linear.h"
#include "model/ops/rms_norm.h"

namespace retrace::model {

namespace {

constexpr int64_t kReadElements = int64_t{1} << 22;
constexpr int64_t kLogitRows = 256;

at::Tensor long_tensor(const std::vector<int32_t>& ids) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
  return tensor;
}

}  // namespace

LlamaRunner::LlamaRunner(const LlamaConfig& config, const WeightSource& weights, at::ScalarType dtype,
                         c10::Device device)
    : config_(config),
      device_(device),
      plan_(plan_block({.recompute = "inference"})),
      inverse_frequencies_(rope_inverse_frequencies(config)) {
  const std::vector<UnitSpec> units = unit_specs(config);
  ensure(units.size() == static_cast<size_t>(config.num_layers) + 2,
         "a model has an embedding, blocks and a head");
  embed_ = load_unit(units.front(), weights, dtype);
  for (size_t i = 1; i + 1 < units.size(); ++i) blocks_.push_back(load_unit(units[i], weights, dtype));
  head_ = load_unit(units.back(), weights, dtype);
  if (config.tie_embeddings) head_.insert_or_assign("lm_head", embed_.at("embed_tokens"));
}

Views LlamaRunner::load_unit(const UnitSpec& spec, const WeightSource& weights, at::ScalarType dtype) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const UnitLayout layout = layout_of(spec);
  const at::Tensor flat = at::zeros({layout.size}, at::TensorOptions(device_).dtype(dtype));
  const at::Tensor piece = at::empty({std::min(layout.size, kReadElements)}, at::kFloat);
  for (size_t p = 0; p < layout.offsets.size(); ++p) {
    const ParameterSpec& parameter = spec.parameters[p];
    for (int64_t begin = 0; begin < parameter.size(); begin += kReadElements) {
      const int64_t count = std::min(kReadElements, parameter.size() - begin);
      weights.read(parameter, begin, begin + count, piece.data_ptr<float>());
      flat.narrow(0, layout.offsets[p] + begin, count).copy_(piece.narrow(0, 0, count));
    }
  }
  return views_of(layout, flat);
}

void LlamaRunner::check(const std::vector<int32_t>& ids) const {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= config_.vocab_size)
      throw Error(
          Code::input,
          fmt::format("token id {} is outside the model's vocabulary of {}", ids[i], config_.vocab_size),
          "use the tokenizer that belongs to the model", fmt::format("token {}", i));
}

void LlamaRunner::reserve(TextCache& cache, int64_t tokens, int64_t keep) const {
  if (tokens <= cache.capacity) return;
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  cache.capacity = std::max(tokens, keep > 0 ? 2 * cache.capacity : tokens);
  cache.layers.resize(blocks_.size());
  const auto grown = [&](const at::Tensor& old) {
    const auto options = embed_.at("embed_tokens").options();
    at::Tensor rows = at::empty({cache.capacity, config_.num_kv_heads * config_.head_dim}, options);
    if (keep > 0) rows.narrow(0, 0, keep).copy_(old.narrow(0, 0, keep));
    return rows;
  };
  for (KeyValueCache& layer : cache.layers) layer = {grown(layer.keys), grown(layer.values)};
}

void LlamaRunner::copy(const TextCache& from, int64_t tokens, TextCache& to) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  ensure(tokens <= from.capacity && tokens <= to.capacity, "both caches hold the tokens");
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    to.layers[layer].keys.narrow(0, 0, tokens).copy_(from.layers[layer].keys.narrow(0, 0, tokens));
    to.layers[layer].values.narrow(0, 0, tokens).copy_(from.layers[layer].values.narrow(0, 0, tokens));
  }
}

void LlamaRunner::warn_beyond(int64_t tokens) {
  if (warned_ || tokens <= config_.max_position_embeddings) return;
  warned_ = true;
  warn(
      "the context of {} tokens is longer than the model's {} (max_position_embeddings); results may be poor",
      tokens, config_.max_position_embeddings);
}

at::Tensor LlamaRunner::run(const std::vector<int32_t>& ids, const std::vector<int64_t>& starts,
                            int64_t prefix, bool append) {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const int64_t tokens = static_cast<int64_t>(ids.size());
  check_spans(starts, tokens);
  ensure(!append || starts.size() == 2, "only one span is cached at a time");
  prepare_angles(packed_positions(starts, prefix, false));
  return run_blocks(ids, starts, [&](BlockFrame& frame, size_t layer) {
    frame.cache = &cache_.layers[layer];
    frame.prefix = prefix;
    frame.append = append;
  });
}

at::Tensor LlamaRunner::run_rows(const std::vector<int32_t>& ids, const std::vector<TextCache*>& texts) {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  ensure(!ids.empty() && ids.size() == texts.size(), "each text gets one token");
  std::vector<int64_t> starts = {0}, lengths;
  std::vector<int32_t> positions;
  for (TextCache* text : texts) {
    reserve(*text, text->tokens + 1, text->tokens);
    starts.push_back(static_cast<int64_t>(starts.size()));
    lengths.push_back(text->tokens);
    positions.push_back(static_cast<int32_t>(text->tokens));
  }
  prepare_angles(std::move(positions));
  std::vector<KeyValueCache> caches(texts.size());
  const at::Tensor x_rd = run_blocks(ids, starts, [&](BlockFrame& frame, size_t layer) {
    for (size_t r = 0; r < texts.size(); ++r) caches[r] = texts[r]->layers[layer];
    frame.row_caches = &caches;
    frame.row_lengths = &lengths;
  });
  for (TextCache* text : texts) ++text->tokens;
  return x_rd;
}

void LlamaRunner::prepare_angles(std::vector<int32_t> of_rows) {
  const int64_t positions = 1 + *std::max_element(of_rows.begin(), of_rows.end());
  warn_beyond(positions);
  if (!angles_.cos_pe.defined() || angles_.cos_pe.size(0) < positions)
    angles_ = rope_angles(inverse_frequencies_, {static_cast<int32_t>(2 * positions)}, device_);
  set_positions(angles_, std::move(of_rows));
}

at::Tensor LlamaRunner::run_blocks(const std::vector<int32_t>& ids, const std::vector<int64_t>& starts,
                                   const std::function<void(BlockFrame&, size_t)>& prepare) {
  at::Tensor x_td = embedding_forward(embed_.at("embed_tokens"), long_tensor(ids));
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    BlockFrame frame{config_, starts, angles_, blocks_[layer]};
    prepare(frame, layer);
    frame.value(Slot::x) = x_td;
    PlanRun run(plan_.forward, frame);
    while (const OpRun op = run.next()) op(run.frame());
    x_td = frame.value(Slot::y);
  }
  tokens_computed_ += static_cast<int64_t>(ids.size());
  return x_td;
}

at::Tensor LlamaRunner::final_norm(const at::Tensor& x_rd) const {
  return rms_norm_forward(x_rd, head_.at("norm"), config_.rms_norm_eps, true).y_td;
}

std::vector<float> LlamaRunner::logprobs(const at::Tensor& x_rd, const std::vector<int32_t>& labels) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const at::Tensor result =
      chunked_logprobs(final_norm(x_rd), head_.at("lm_head"), long_tensor(labels), kLogitRows).to(at::kCPU);
  const float* const values = result.const_data_ptr<float>();
  return {values, values + result.numel()};
}

std::vector<float> LlamaRunner::logits(const at::Tensor& x_rd) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const at::Tensor result = linear_forward(final_norm(x_rd), head_.at("lm_head")).to(at::kCPU, at::kFloat);
  const float* const values = result.const_data_ptr<float>();
  return {values, values + result.numel()};
}

}  // namespace retrace::model
