// A small repository built by hand, a byte tokenizer, and an engine whose likelihoods come from a byte model:
// enough to test synthesis without parsers, vocabularies or weights.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "model/engine/engine.h"
#include "synth/input/snapshot.h"
#include "synth/record/trajectory.h"
#include "synth/skeleton/skeleton.h"
#include "synth/structure.h"
#include "tests/shared.h"

namespace retrace::synth::handmade {

struct Repository {
  Snapshot snapshot;
  Structure structure;
};

// Seven files: a readme, an empty package file, `base` (with a planted "<|eot_id|>"), a cycle of two, `main`
// that uses base and the cycle, `big` of several Writes, and a file that is no UTF-8. `name` varies the
// contents.
Repository make_repository(const std::string& name = "sample");
// Structure of Python text: top-level def and class, the leading docstring.
FileStructure python_structure(const std::string& content);
int file_index(const Snapshot& snapshot, const std::string& path);

SimulateOptions small_options();  // budgets that make reads and writes be cut
Trajectory make_trajectory(const Repository& repository, uint64_t seed = 1);

// Ids 0..255 are bytes; then <|begin_of_text|>, <|end_of_text|>, <|start_header_id|>, <|end_header_id|>,
// <|eot_id|>, <|im_start|>, <|im_end|>, <|pad|>. BOS only if asked for.
std::shared_ptr<const data::Tokenizer> byte_tokenizer(bool with_bos = true);

// log p by PPM of order 4 over the ids' low bytes; counts what it computes as the contract says, the prefix
// once as long as it stays the same.
class ByteEngine : public model::Engine {
 public:
  ByteEngine();
  const model::LlamaConfig& config() const override { return config_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::vector<float> logprobs(const std::vector<int32_t>& ids, int64_t from) override;
  std::vector<std::vector<float>> logprobs_after(
      const std::vector<int32_t>& prefix, const std::vector<std::vector<int32_t>>& continuations) override;
  std::vector<int32_t> generate(const std::vector<int32_t>&, const model::GenerateOptions&) override;
  int64_t tokens_computed() const override { return tokens_; }

  bool keeps_prefix = true;  // false: counts as an engine would that computes the prefix in every call
  std::vector<int32_t> last_prefix;
  std::vector<std::vector<int32_t>> last_continuations;

 private:
  model::LlamaConfig config_;
  std::string fingerprint_ = "bytes-0123456789abcdef";
  int64_t tokens_ = 0;
};

using tests::error_of;
using tests::TempFolder;

// Every file below `folder` with its bytes.
std::map<std::string, std::string> all_files(const std::filesystem::path& folder);

}  // namespace retrace::synth::handmade
