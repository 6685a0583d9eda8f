// Time of an optimizer step by a small model of a GPU.
#pragma once

#include <cstdint>

#include "train/plan/training_shape.h"

namespace retrace::train {

// A GPU as the time model sees it; the defaults are an H100 SXM. Throughputs are sustained, not peak.
struct GpuModel {
  double gemm_tflops = 650;                // bf16 matrix products
  double attention_forward_tflops = 284;   // causal (FlashAttention-2 on H100)
  double attention_backward_tflops = 287;  // the same, backward
  double elementwise_us = 20;  // all that is no product, per token of an 8B model (32 blocks of width 4,096)
  double node_gbs = 300;       // bandwidth to GPUs of the same node, GB/s
  double network_gbs = 40;     // bandwidth to GPUs of other nodes, GB/s
  int64_t gpus_per_node = 8;
};

// Time of an optimizer step on `world` GPUs, seconds; what transfers cannot hide behind compute is exposed.
struct StepTime {
  double gemm_s = 0, attention_s = 0, elementwise_s = 0, exposed_transfer_s = 0, optimizer_s = 0;
  double total_s() const { return gemm_s + attention_s + elementwise_s + exposed_transfer_s + optimizer_s; }
  double model_flops = 0;      // of a rank, without recomputation
  int64_t transfer_bytes = 0;  // sent and received by a rank
};
StepTime plan_step(const TrainingShape& shape, const GpuModel& gpu, int world);

}  // namespace retrace::train
