// The ops of a block. Residual sums and their gradients are rounded once each: they ride on a product
// (forward) or on a norm's backward.
#include <ATen/ops/mm.h>

#include "model/llama/block_program.h"
#include "model/ops/linear.h"
#include "model/ops/rms_norm.h"
#include "model/ops/swiglu.h"

namespace retrace::model {

namespace {

std::vector<at::Tensor> pick(const Views& views, std::initializer_list<const char*> names) {
  std::vector<at::Tensor> picked;
  for (const char* name : names) picked.push_back(views.at(name));
  return picked;
}

void norm_forward(BlockFrame& f, const char* weight, Slot in, Slot out, Slot rstd) {
  auto result = rms_norm_forward(f.value(in), f.weight(weight), f.config.rms_norm_eps, f.hf_norm);
  f.value(out) = result.y_td;
  f.value(rstd) = result.rstd_t;
}

// The residual stream's gradient stands in gradient(in) already; the norm's share is added to it.
void norm_backward(BlockFrame& f, const char* weight, Slot in, Slot out, Slot rstd) {
  f.gradient(in) = rms_norm_backward(f.value(in), f.weight(weight), f.value(rstd), f.gradient(out),
                                     f.gradient(in), f.gradients->at(weight), f.hf_norm);
}

void norm1_forward(BlockFrame& f) {
  norm_forward(f, "input_layernorm", Slot::x, Slot::n1, Slot::rstd1);
}
void norm1_backward(BlockFrame& f) {
  norm_backward(f, "input_layernorm", Slot::x, Slot::n1, Slot::rstd1);
}
void norm2_forward(BlockFrame& f) {
  norm_forward(f, "post_attention_layernorm", Slot::h, Slot::n2, Slot::rstd2);
}
void norm2_backward(BlockFrame& f) {
  norm_backward(f, "post_attention_layernorm", Slot::h, Slot::n2, Slot::rstd2);
}

void qkv_forward(BlockFrame& f) {
  const at::Tensor weight = stack_rows(pick(f.weights, {"q_proj", "k_proj", "v_proj"}));
  f.value(Slot::qkv) = linear_forward(f.value(Slot::n1), weight);
  if (f.peers) f.value(Slot::qkv) = exchange_qkv(*f.peers, f.value(Slot::qkv), f.all_heads());
  rope_forward(f.value(Slot::qkv), f.angles, f.shape());
}
void qkv_backward(BlockFrame& f) {  // the gradient arrives rotated back
  const auto names = {"q_proj", "k_proj", "v_proj"};
  at::Tensor& dqkv = f.gradient(Slot::qkv);
  if (f.peers) dqkv = return_qkv_gradient(*f.peers, dqkv, f.all_heads());
  linear_backward_weight(dqkv, f.value(Slot::n1), pick(*f.gradients, names));
  f.gradient(Slot::n1) = at::mm(dqkv, stack_rows(pick(f.weights, names)));
}

void attention_op_forward(BlockFrame& f) {
  const at::Tensor& qkv = f.value(Slot::qkv);
  if (f.row_caches) {
    f.value(Slot::attn) = attention_of_rows(qkv, f.shape(), *f.row_caches, *f.row_lengths);
    return;
  }
  if (f.cache) {
    f.value(Slot::attn) = attention_after_prefix(qkv, f.starts, f.shape(), *f.cache, f.prefix);
    if (f.append) append_to_cache(qkv, f.shape(), *f.cache, f.prefix);
    return;
  }
  const AttentionResult result = attention_forward(qkv, f.starts, f.shape());
  f.value(Slot::attn) = f.peers ? return_rows(*f.peers, result.out) : result.out;
  f.value(Slot::lse) = result.lse_th;
}
void attention_op_backward(BlockFrame& f) {
  at::Tensor out = f.value(Slot::attn), dout = f.gradient(Slot::attn);
  if (f.peers) {
    out = exchange_rows(*f.peers, out);
    dout = exchange_rows(*f.peers, dout);
  }
  f.gradient(Slot::qkv) =
      attention_backward(dout, f.value(Slot::qkv), {out, f.value(Slot::lse)}, f.starts, f.shape(), f.angles);
}

void attention_out_forward(BlockFrame& f) {
  f.value(Slot::h) = linear_residual_forward(f.value(Slot::attn), f.weight("o_proj"), f.value(Slot::x));
}
void attention_out_backward(BlockFrame& f) {
  const at::Tensor& dh = f.gradient(Slot::h);
  linear_backward_weight(dh, f.value(Slot::attn), {f.gradients->at("o_proj")});
  f.gradient(Slot::attn) = at::mm(dh, f.weight("o_proj"));
  f.gradient(Slot::x) = dh;
}

void gate_up_forward(BlockFrame& f) {
  const at::Tensor weight = stack_rows(pick(f.weights, {"gate_proj", "up_proj"}));
  f.value(Slot::gate_up) = linear_forward(f.value(Slot::n2), weight);
}
void gate_up_backward(BlockFrame& f) {
  const auto names = {"gate_proj", "up_proj"};
  const at::Tensor& dgate_up = f.gradient(Slot::gate_up);
  linear_backward_weight(dgate_up, f.value(Slot::n2), pick(*f.gradients, names));
  f.gradient(Slot::n2) = at::mm(dgate_up, stack_rows(pick(f.weights, names)));
}

void swiglu_op_forward(BlockFrame& f) {
  f.value(Slot::act) = swiglu_forward(f.value(Slot::gate_up));
}
void swiglu_op_backward(BlockFrame& f) {  // no later op reads gate_up: its storage becomes the gradient
  f.gradient(Slot::gate_up) = swiglu_backward(f.value(Slot::gate_up), f.gradient(Slot::act));
}

void mlp_out_forward(BlockFrame& f) {
  f.value(Slot::y) = linear_residual_forward(f.value(Slot::act), f.weight("down_proj"), f.value(Slot::h));
}
void mlp_out_backward(BlockFrame& f) {
  const at::Tensor& dy = f.gradient(Slot::y);
  linear_backward_weight(dy, f.value(Slot::act), {f.gradients->at("down_proj")});
  f.gradient(Slot::act) = at::mm(dy, f.weight("down_proj"));
  f.gradient(Slot::h) = dy;
}

}  // namespace

const std::vector<BlockOp>& block_ops() {
  using enum Slot;
  static const std::vector<BlockOp> ops = {
      {"norm1", {x}, {n1, rstd1}, {x, rstd1}, norm1_forward, norm1_backward},
      {"qkv", {n1}, {qkv}, {n1}, qkv_forward, qkv_backward},
      {"attention", {qkv}, {attn, lse}, {qkv, attn, lse}, attention_op_forward, attention_op_backward},
      {"attention_out", {attn, x}, {h}, {attn}, attention_out_forward, attention_out_backward},
      {"norm2", {h}, {n2, rstd2}, {h, rstd2}, norm2_forward, norm2_backward},
      {"gate_up", {n2}, {gate_up}, {n2}, gate_up_forward, gate_up_backward, true},
      {"swiglu", {gate_up}, {act}, {gate_up}, swiglu_op_forward, swiglu_op_backward, true},
      {"mlp_out", {act, h}, {y}, {act}, mlp_out_forward, mlp_out_backward, true},
  };
  return ops;
}

}  // namespace retrace::model
