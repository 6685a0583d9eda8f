// Recipe sections [optim], [train] and [checkpoint]. No torch here.
#pragma once

#include "core/recipe/recipe.h"

namespace retrace::train {

struct OptimConfig {
  static constexpr const char* kSection = "optim";
  static constexpr const char* kAbout = "AdamW and its schedule";
  double lr = 1e-5, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, clip_norm = 1.0,
         warmup_fraction = 0.1, min_lr_fraction = 0.1;
  bool decay_norms = false;
  static auto fields();
};

struct TrainConfig {
  static constexpr const char* kSection = "train";
  static constexpr const char* kAbout = "Steps, batches, sharding";
  int64_t steps = 0, epochs = 1, batch_sequences = 64, micro_batch = 1, logit_chunk = 1024, virtual_ranks = 1,
          check_weights_every = 0, max_bad_steps = 10, shard_size = 0, context_parallel = 1;
  std::string loss = "sequence_mean", sharding = "zero3", device = "auto";
  double cost_a = 1, cost_b = 0.0001, max_z_score = 0, peak_tflops = 0;
  bool nccl_register = true;
  static auto fields();
};

struct CheckpointConfig {
  static constexpr const char* kSection = "checkpoint";
  static constexpr const char* kAbout = "Saving and resuming";
  int64_t every = 0, keep = 2, keep_every = 0, max_failures = 3, chunk_kib = 0;
  std::string resume = "auto";
  bool force = false, async = true;
  double grace_s = 20;
  static auto fields();
};

}  // namespace retrace::train

namespace retrace {
extern template train::OptimConfig Recipe::get<train::OptimConfig>() const;
extern template Section describe<train::OptimConfig>();
extern template train::TrainConfig Recipe::get<train::TrainConfig>() const;
extern template Section describe<train::TrainConfig>();
extern template train::CheckpointConfig Recipe::get<train::CheckpointConfig>() const;
extern template Section describe<train::CheckpointConfig>();
}  // namespace retrace
