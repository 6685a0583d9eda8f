// Tiny Llama models for the tests of this room: random weights in flat units, one training pass through the
// blocks, and the same model written with plain ATen operators under autograd, as the oracle.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/llama/llama.h"

namespace retrace::model::testing {

LlamaConfig tiny_config(int64_t heads, int64_t kv_heads, bool tied = false);

struct FlatModel {
  LlamaConfig config;
  std::vector<UnitLayout> layouts;
  std::vector<at::Tensor> weights, gradients;  // flat, one a unit; gradients fp32
  Views weight_views(size_t unit) const;       // the head's "lm_head" is the embedding when tied
  Views gradient_views(size_t unit) const;
  FlatModel to(at::ScalarType dtype) const;
  FlatModel to(c10::Device device) const;  // weights and gradients
  // HF name -> tensor; with tied embeddings the embedding's gradient is the sum of both uses already.
  std::map<std::string, at::Tensor> named(const std::vector<at::Tensor>& flats) const;
};
FlatModel random_model(const LlamaConfig& config, int64_t seed, double scale = 0.2);

struct Batch {
  at::Tensor ids, labels;  // int64
  at::Tensor weights;      // fp32
  Spans spans;
};
// Random ids; labels are the next id inside each document, -1 at its end and at every `holes`-th token.
Batch random_batch(const LlamaConfig& config, const std::vector<int64_t>& lengths, int64_t seed,
                   int64_t holes = 0);

// Forward and backward through all units, adding to model.gradients.
Llama::HeadResult train_pass(const Llama& llama, FlatModel& model, const Batch& batch, int64_t chunk = 1024);

struct OracleResult {
  double loss_sum;
  std::map<std::string, at::Tensor> gradients;  // by HF name
};
// The same loss by torch::autograd, documents one by one, keys repeated, full logits.
OracleResult oracle_pass(const FlatModel& model, const Batch& batch);
// Logits of one document, [t, vocabulary], no autograd.
at::Tensor oracle_logits(const FlatModel& model, const std::vector<int64_t>& ids);

double relative_error(const at::Tensor& value, const at::Tensor& reference);  // ||v - r|| / ||r||

}  // namespace retrace::model::testing
