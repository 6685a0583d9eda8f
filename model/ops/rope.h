// Rotary positions in HF's rotate_half convention. Angles, cosines and sines are fp32, computed as HF
// computes them; the rotation is fp32 and rounded once.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/llama_config.h"
#include "model/ops/cpu/kernels.h"

namespace retrace::model {

// theta^(-2i/head_dim) in fp32, with Llama-3.1's scaling if the config asks for it. [head_dim / 2]
at::Tensor rope_inverse_frequencies(const LlamaConfig& config);

// The angles of a packed sequence: tables by position, and the position of each token.
struct RopeAngles {
  at::Tensor cos_pe, sin_pe;  // fp32 [positions, head_dim / 2]
  std::vector<int32_t> positions;
  at::Tensor gpu_positions{};  // the same, int32, where the tables are on a GPU
  // Where Transformer Engine rotates: the angles themselves, [positions, head_dim] with both halves alike,
  // and the runs of rows whose positions ascend by one: where each starts and the position that it starts at.
  at::Tensor angle_pe{}, run_starts{}, run_first{};
  int64_t longest_run = 0;
};
// Bounds of the runs in `positions`, the last bound being their number.
std::vector<int32_t> position_runs(const std::vector<int32_t>& positions);

// The tables hold positions 0 .. largest of `positions`. Computed on the CPU wherever they end, so that both
// sides have the same bits.
RopeAngles rope_angles(const at::Tensor& inverse_frequencies, std::vector<int32_t> positions,
                       c10::Device device = c10::kCPU);
// Other positions for the same tables.
void set_positions(RopeAngles& angles, std::vector<int32_t> positions);

// In place on packed rows of queries, keys and values.
void rope_forward(at::Tensor& qkv, const RopeAngles& angles, const HeadShape& shape);
// The same with all angles negated. On a GPU only: the CPU's attention packs and rotates gradients in one go.
void rope_backward_on_gpu(at::Tensor& dqkv, const RopeAngles& angles, const HeadShape& shape);

}  // namespace retrace::model
