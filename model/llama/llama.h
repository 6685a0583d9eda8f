// Llama as a program of units: embedding, blocks, head. Each unit has a hand-written forward and backward
// over views of one flat buffer; nothing here uses autograd. Shape suffixes: t tokens of the packed sequence,
// d hidden, h heads, k kv heads, e head dim, f feed-forward, v vocabulary.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/llama_config.h"

namespace retrace::model {

class ContextPeers;  // model/ops/head_exchange.h

// Document spans of one packed sequence: they tile [0, T). Positions restart at each start.
struct Spans {
  std::vector<int64_t> starts;  // starts[0] = 0, ascending; the last element is T
  int64_t tokens() const { return starts.back(); }
};

struct ComputeOptions {
  bool bf16 = false;  // compute dtype of matmuls and activations; norms, softmax, RoPE angles stay fp32
  std::string recompute = "none";     // what a block keeps between forward and backward (plan_block)
  int64_t mlp_tile_tokens = 0;        // most tokens of a tile of the feed-forward; 0 = all at once
  std::string offload = "none";       // what may wait in host memory meanwhile: none, block_inputs
  std::string rms_norm = "hf";        // hf | prolong: where the result is rounded
  bool continuous_positions = false;  // ProLong's flavour: positions do not restart
  std::string device = "cpu";         // cpu or cuda: where weights, activations and gradients are
};

// The parameters of one unit: views into a flat buffer of the compute dtype, by short name ("q_proj", ...),
// and, while training, views of the same layout into a flat fp32 gradient buffer to which backward adds.
using Views = std::map<std::string, at::Tensor>;

// Offsets of a unit's parameters in its flat vector, each aligned to 32 elements (128 bytes of fp32), in spec
// order.
struct UnitLayout {
  UnitSpec spec;
  std::vector<int64_t> offsets;
  int64_t size = 0;  // padded
};
UnitLayout layout_of(const UnitSpec& spec);
Views views_of(const UnitLayout& layout, const at::Tensor& flat);

// What a block keeps for its backward.
struct Saved {
  std::map<std::string, at::Tensor> tensors;
};

class Llama {
 public:
  Llama(const LlamaConfig& config, const ComputeOptions& options);
  ~Llama();
  const LlamaConfig& config() const;
  const ComputeOptions& options() const;
  bool offloads_inputs() const;  // a block's Saved may lose "x", and get it back before its backward

  // ids, labels and their weights stay on the CPU, where they are checked.
  // Per-sequence constants (positions, cos/sin tables, spans); made once per micro-batch. With `peers` the
  // spans are those of the whole sequence, and each of them brings an equal part of its tokens, in order.
  struct Context;
  std::shared_ptr<const Context> prepare(const Spans& spans, ContextPeers* peers = nullptr) const;

  at::Tensor embed_forward(const Views& weights, const at::Tensor& ids_t) const;  // x_td
  void embed_backward(const at::Tensor& ids_t, const at::Tensor& dx_td,
                      Views& gradients) const;  // adds, fp32
  at::Tensor block_forward(const Context& context, const Views& weights, const at::Tensor& x_td,
                           Saved* saved) const;
  // Takes dy_td over, so that a caller who moves it in does not keep it alive.
  at::Tensor block_backward(const Context& context, const Views& weights, Saved& saved, at::Tensor dy_td,
                            Views& gradients) const;
  struct HeadResult {
    double loss_sum = 0;  // sum over labels of weight * nll
    at::Tensor dx_td;     // gradient of loss_sum (null tensors if gradients == nullptr)
    at::Tensor nll_t;     // fp32 nll per position, 0 where no label
  };
  // Final norm, logits in chunks of `chunk` tokens, weighted cross-entropy, and the backward in the same
  // sweep: full logits never exist. labels_t: int64, -1 = none; weights_t: fp32, the weight of each label in
  // the loss. `head_weights` holds "norm" and "lm_head"; with tied embeddings the caller puts the embedding
  // there.
  HeadResult head(const Views& head_weights, const at::Tensor& x_td, const at::Tensor& labels_t,
                  const at::Tensor& weights_t, Views* gradients, int64_t chunk = 1024) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::model
