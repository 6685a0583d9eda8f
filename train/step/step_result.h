// What came of a step's forward and backward, as all ranks see it: each rank tells its values in one gather,
// and all combine them alike, so that all decide alike.
#pragma once

#include <cstdint>
#include <vector>

#include "model/llama_config.h"
#include "train/step/llama_pass.h"

namespace retrace::train {

// What one rank tells of a step, beside the sums over its gradients.
struct RankValues {
  bool save_asked = false, saving = false;
  double busy_s = 0;  // work without waits
  double memory_bytes = 0, model_flops = 0;
  std::vector<StepLoss> losses;  // one for each virtual rank
};

// The same on every rank.
struct StepResult {
  double loss = 0, norm = 0, lr = 0;
  bool good = false, outlier = false, save_asked = false, saving = false;
  std::vector<double> domain_nll, domain_weight;
  double loss_z = 0, norm_z = 0;
  double model_flops = 0;      // of all ranks
  double memory_bytes = 0;     // resident set of the largest rank
  std::vector<double> busy_s;  // work of each rank, without waits
};

// A rank's part of the gather: `chunk_sums` (Shards::gradient_chunk_sums), then the values.
std::vector<double> pack_values(std::vector<double> chunk_sums, const RankValues& values);
// Loss, domains, requests, FLOPs, memory and times of all ranks. `mine` is this rank's part, for the layout.
StepResult combine_values(const std::vector<double>& all, int ranks, int64_t chunks, const RankValues& mine);

// Model FLOPs of a rank's micro-batches. Where `context` ranks share a sequence, each counts its part of it.
double model_flops_of(const model::LlamaConfig& config, const StepBatch& batch, int context);

}  // namespace retrace::train
