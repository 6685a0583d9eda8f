// What a round of training is asked to do, and what it did. No torch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/mixture/mixture.h"
#include "data/tokenizer/tokenizer.h"

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

// The file in the run folder that asks the running job for a checkpoint.
inline constexpr const char* kSaveRequestName = "save.request";

}  // namespace retrace::train
