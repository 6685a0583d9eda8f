// One round of training: from packed tokens and start weights to a last checkpoint, through any number of
// interruptions. No torch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/recipe.h"
#include "data/mixture.h"
#include "data/tokenizer.h"
#include "train/world.h"

namespace retrace::train {

struct TrainJob {
  std::filesystem::path run_folder;
  int round = 1;
  std::vector<data::MixtureDomain> domains;
  std::filesystem::path tokenizer;  // folder or file; copied to run_folder/checkpoints/tokenizer, for exports
  std::string tokenizer_fingerprint;
  int64_t vocab_size = 0;
  data::TokenId pad = 0;
  std::string start;       // "" = model.path or random weights; else a checkpoint folder: its weights only
  int64_t first_step = 0;  // global step at which the round starts
  int64_t steps = 0;       // overrides train.steps
  std::filesystem::path save_request;  // file that asks for a checkpoint; empty: run_folder/save.request
  std::string metrics_stage = "train";
};

struct TrainResult {
  std::filesystem::path checkpoint;                 // of the round's last step
  std::string root;                                 // its identity
  int64_t steps = 0, tokens = 0, label_tokens = 0;  // of the whole round, interruptions included
  double first_loss = 0, last_loss = 0;
};

// Trains the round on all ranks of `world`, each of which makes this call, and leaves
// run_folder/checkpoints/step-N (N = global step). Continues from the newest checkpoint of the round that
// verifies; a round that is done returns at once. Error{interrupted} after SIGINT or SIGTERM (the last
// completed step is saved if checkpoint.grace_s allows), Error{distributed} if a rank is lost or disagrees,
// Error{numeric} after train.max_bad_steps bad steps in a row, Error{io} when saving keeps failing.
// The caller holds the run folder's lock, has installed signal handlers, and passes errors to
// World::report_failure.
TrainResult run_training(World& world, const Recipe& recipe, const TrainJob& job);

// The file in the run folder that asks the running job for a checkpoint.
inline constexpr const char* kSaveRequestName = "save.request";

}  // namespace retrace::train
