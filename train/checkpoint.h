// Checkpoints as other rooms see them: found newest first (train/checkpoint/folders.h), described by a
// manifest, read as weights, exported. No torch here.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "model/files/weights.h"
#include "model/llama_config.h"
#include "train/checkpoint/folders.h"
#include "train/checkpoint/manifest.h"

namespace retrace::train {

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
