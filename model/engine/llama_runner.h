// Inference of one Llama on one device: weights in the compute dtype, a key-value cache, packed forward
// passes. The engine's scoring and generation stand on it; it keeps no text and samples nothing.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <utility>
#include <vector>

#include "model/engine/engine.h"
#include "model/files/weights.h"
#include "model/llama/block_program.h"
#include "model/llama/llama.h"

namespace retrace::model {

// The keys and values of one text.
struct TextCache {
  std::vector<KeyValueCache> layers;
  int64_t capacity = 0, tokens = 0;  // tokens: kept by whoever owns the cache
};

class LlamaRunner {
 public:
  // Reads each weight once. dtype: kFloat or kBFloat16.
  LlamaRunner(const LlamaConfig& config, const WeightSource& weights, at::ScalarType dtype,
              c10::Device device = c10::kCPU);

  const LlamaConfig& config() const { return config_; }
  int64_t tokens_computed() const { return tokens_computed_; }
  void check(const std::vector<int32_t>& ids) const;  // Error{input} for an id outside of the vocabulary

  // Room for `tokens` in the runner's cache, or in another one; the first `keep` cached tokens survive.
  void reserve(int64_t tokens, int64_t keep) { reserve(cache_, tokens, keep); }
  void reserve(TextCache& cache, int64_t tokens, int64_t keep) const;
  // The first `tokens` of one cache into another, which has room for them.
  void copy(const TextCache& from, int64_t tokens, TextCache& to) const;
  void swap_cache(TextCache& other) { std::swap(cache_, other); }
  // Runs the tokens of all spans, each after the first `prefix` cached ones; `append` (one span) caches them.
  // Returns the residual stream before the final norm, [t, hidden].
  at::Tensor run(const std::vector<int32_t>& ids, const std::vector<int64_t>& starts, int64_t prefix,
                 bool append);
  // One token for each of several texts, behind their cached ones (texts[r]->tokens, then one more). A row's
  // bits do not depend on the other rows, for at most kFewRows of them.
  at::Tensor run_rows(const std::vector<int32_t>& ids, const std::vector<TextCache*>& texts);
  // log p(label | row) for rows of run()'s result.
  std::vector<float> logprobs(const at::Tensor& x_rd, const std::vector<int32_t>& labels) const;
  std::vector<float> logits(const at::Tensor& x_rd) const;  // fp32, one row after the other

 private:
  void warn_beyond(int64_t tokens);
  void prepare_angles(std::vector<int32_t> positions);
  at::Tensor run_blocks(const std::vector<int32_t>& ids, const std::vector<int64_t>& starts,
                        const std::function<void(BlockFrame&, size_t)>& prepare);
  Views load_unit(const UnitSpec& spec, const WeightSource& weights, at::ScalarType dtype) const;
  at::Tensor final_norm(const at::Tensor& x_rd) const;

  LlamaConfig config_;
  c10::Device device_;
  BlockPlan plan_;
  at::Tensor inverse_frequencies_;
  RopeAngles angles_;  // tables grow as needed; positions are those of the last run
  Views embed_, head_;
  std::vector<Views> blocks_;
  TextCache cache_;
  int64_t tokens_computed_ = 0;
  bool warned_ = false;
};

}  // namespace retrace::model
