// Checkpoints of a run: step-N folders that appear whole or not at all, found again newest first, read at any
// world size, and read as weights by the other rooms. No torch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/llama_config.h"
#include "model/weights.h"
#include "train/config.h"
#include "train/manifest.h"

namespace retrace::train {

struct CheckpointFolder {
  std::filesystem::path path;
  int64_t step = 0;
};

// Folders named step-N, newest first, verified or not.
std::vector<CheckpointFolder> list_checkpoints(const std::filesystem::path& root);
// Removes what a killed save or purge left behind.
void clean_leftovers(const std::filesystem::path& root);
// Removes checkpoints of this round beyond `keep`, except the last of a round and multiples of keep_every.
// Those of other rounds stay. Failpoint: during_purge.
void purge_checkpoints(const std::filesystem::path& root, const CheckpointConfig& config, int64_t round,
                       int64_t step);
// Moves the round's checkpoints out of the way of a run that begins anew (step-N.superseded).
void supersede_checkpoints(const std::filesystem::path& root, int64_t round);

// Weights (fp32 masters) of a checkpoint folder, mapped, each chunk checked when it is first read; its
// fingerprint is the checkpoint's root. Error{input} if the folder is no checkpoint, Error{corrupt} if it
// does not verify.
std::unique_ptr<model::WeightSource> open_checkpoint_weights(const std::filesystem::path& folder);
model::LlamaConfig checkpoint_config(const std::filesystem::path& folder);
bool is_checkpoint(const std::filesystem::path& folder);  // has a manifest; it may still not verify

// Writes the checkpoint as a Hugging Face folder. `tokenizer`: a file or folder to copy along; empty: the one
// that training left beside the checkpoints, if any.
void export_checkpoint(const std::filesystem::path& folder, const std::filesystem::path& to,
                       const std::string& dtype, const std::filesystem::path& tokenizer = {});

}  // namespace retrace::train
