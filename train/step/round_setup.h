// What a round of training stands on, worked out from recipe and job before the first step: shape, steps,
// what decides the result, and the agreement of all ranks on it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/recipe/run_config.h"
#include "model/config.h"
#include "model/files/weights.h"
#include "train/checkpoint/manifest.h"
#include "train/job.h"
#include "train/ranks/rank_groups.h"
#include "train/step/batch_source.h"
#include "train/world.h"

namespace retrace::train {

struct RoundSetup {
  RunConfig run;
  model::ModelConfig model;
  OptimConfig optim;
  TrainConfig train;
  CheckpointConfig checkpoint;
  model::LlamaConfig llama;
  int64_t steps = 0;  // of the round
  int threads = 1;    // a rank
  GroupSizes groups;
  BatchOptions batches;                            // for this rank
  std::map<std::string, std::string> decisive;     // keys that decide what is trained
  std::map<std::string, std::string> defaults;     // of those keys: what a checkpoint older than a key means
  std::map<std::string, std::string> fingerprint;  // what bit-equality depends on beyond these
};

// Error{recipe} for what cannot be trained here.
RoundSetup resolve_round(const World& world, const Recipe& recipe, const TrainJob& job,
                         const data::Mixture& mixture);

model::ComputeOptions compute_options(const model::ModelConfig& config, const std::string& device);

std::unique_ptr<model::WeightSource> open_start_weights(const RoundSetup& setup, const TrainJob& job);

// All ranks compare recipe, code version, data and weights through the store. Error{distributed} on every
// rank, naming the ranks that differ from rank 0 and in what.
void agree_before_training(World& world, const std::map<std::string, std::string>& facts);

// Throws Error{recipe} naming the keys if the checkpoint was written under another recipe (unless forced),
// and warns if continuing it cannot be bit-equal.
void check_resumable(const RoundSetup& setup, const Manifest& manifest, const TrainJob& job,
                     const std::string& data_manifest, bool tell);

}  // namespace retrace::train
