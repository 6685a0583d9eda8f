// What manifest.json of a checkpoint says: where each chunk of the state lies, its hash, and what the state
// belongs to. A folder without a manifest that verifies is no checkpoint. No torch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/llama_config.h"

namespace retrace::train {

inline constexpr const char* kManifestName = "manifest.json";

// Where training stands: data and optimizer steps are apart, since a skipped step consumes data only.
struct TrainProgress {
  int64_t step = 0;  // global: counts through all rounds
  int64_t round = 1, data_step = 0, optimizer_step = 0;
  int64_t skipped = 0, bad_in_a_row = 0, failed_saves = 0;
  int64_t tokens = 0, label_tokens = 0, sequences_without_labels = 0;  // of the round
  double first_loss = 0, last_loss = 0;
  bool round_done = false;
  int64_t outliers = 0;                             // steps left out for their z-score
  std::vector<double> recent_losses, recent_norms;  // what z-scores are taken from; empty if they are off
};

// Chunks [first, last) of one unit's vector of one kind, without gaps, from `offset` of a file on.
struct FileRange {
  int64_t kind, unit, first, last, offset;
};

struct StateFile {
  std::string name;
  int64_t bytes = 0;
  std::vector<FileRange> ranges;
};

struct Manifest {
  TrainProgress progress;
  model::LlamaConfig config;
  int64_t chunk_elements = 0, world = 1;
  std::vector<std::vector<std::string>> chunk_hashes;  // [kind][chunk in global order], SHA-256
  std::vector<StateFile> files;
  std::string root;                                // hash over all chunk hashes: the identity of the state
  std::map<std::string, std::string> recipe;       // the keys that decide what is trained, as TOML values
  std::string tokenizer, data_manifest;            // fingerprints
  std::map<std::string, std::string> fingerprint;  // what bit-equality depends on beyond these
};

std::string state_root(const model::LlamaConfig& config, int64_t chunk_elements,
                       const std::vector<std::vector<std::string>>& chunk_hashes);
std::string manifest_text(const Manifest& manifest);
// Reads and checks folder/manifest.json, and that the files have the sizes that it says. Error{corrupt} names
// what is wrong, Error{input} if there is no manifest.
Manifest read_manifest(const std::filesystem::path& folder);

// Parts of it as they travel from rank to rank.
Json to_json(const StateFile& file);
StateFile state_file_from_json(const Json& json, const std::string& where);

}  // namespace retrace::train
