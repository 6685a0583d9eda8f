// Scoring and generation, torch-free to include: what synth and eval know of the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/llama_config.h"

namespace retrace::model {

class WeightSource;  // model/files/weights.h

struct EngineOptions {
  std::string device = "cpu";     // cpu, cuda or auto (model/device/cuda_library.h)
  std::string dtype = "float32";  // float32 or bfloat16
  int threads = 0;                // 0 = as the process has
  int64_t prefill_chunk = 2048;
  int64_t decode_rows = 16;  // texts that generate_all decodes together, at most 32
};

struct GenerateOptions {
  int64_t max_tokens = 128;
  double temperature = 0;  // 0 = greedy
  double top_p = 1;
  uint64_t seed = 0;
  std::vector<int32_t> stop_tokens;
  // Called with all new tokens so far after each one; true = stop (stop strings are the caller's business).
  std::function<bool(const std::vector<int32_t>&)> should_stop;
};

// Called with a text's number and its new tokens once it has ended.
using TextDone = std::function<void(size_t, const std::vector<int32_t>&)>;

struct TextRequest {
  std::vector<int32_t> prompt;
  GenerateOptions options;
  std::function<void(const std::vector<int32_t>&)> done;  // called with the new tokens
};

// Texts of several users, decoded together one token at a time.
class TextDecoder {
 public:
  virtual ~TextDecoder() = default;
  virtual void add(TextRequest text) = 0;
  // Takes in what waits while there is room, then one token for every open text. False: none is left. An
  // exception of a text's own functions passes, and every text is dropped.
  virtual bool step() = 0;
};

// What an engine keeps of the last prefix it scored behind.
struct KeptPrefix {
  virtual ~KeptPrefix() = default;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual const LlamaConfig& config() const = 0;
  virtual const std::string& fingerprint() const = 0;  // identity of the weights
  // log p(ids[i] | ids[0..i)) in nats for i in [from, ids.size()); from >= 1. fp32 log-softmax.
  virtual std::vector<float> logprobs(const std::vector<int32_t>& ids, int64_t from) = 0;
  // The same for several continuations of one prefix, whose keys and values are computed once, also over
  // calls with the same prefix or with one that begins with it: result[k][i] = log p(continuations[k][i] |
  // prefix, continuations[k][0..i)). prefix is not empty. What is kept changes no bit of a result.
  virtual std::vector<std::vector<float>> logprobs_after(
      const std::vector<int32_t>& prefix, const std::vector<std::vector<int32_t>>& continuations) = 0;
  // New tokens only, stop token excluded.
  virtual std::vector<int32_t> generate(const std::vector<int32_t>& prompt,
                                        const GenerateOptions& options) = 0;
  // Several texts decoded together; each is what generate() makes of its prompt and options, bit for bit.
  // Default: one after the other.
  virtual void generate_all(const std::vector<std::vector<int32_t>>& prompts,
                            const std::vector<GenerateOptions>& options, const TextDone& done);
  // Null where texts can only be generated whole.
  virtual TextDecoder* decoder() { return nullptr; }
  // Exchanges what is kept for what was kept before; null: nothing. Engines that keep nothing do nothing.
  virtual void swap_kept(std::unique_ptr<KeptPrefix>& /*other*/) {}
  // Tokens that went through the network so far (for the promise that prefixes are computed once).
  virtual int64_t tokens_computed() const = 0;
};

std::unique_ptr<Engine> open_engine(const std::filesystem::path& hf_folder, const EngineOptions& options);
std::unique_ptr<Engine> make_engine(const LlamaConfig& config, WeightSource& weights,
                                    const EngineOptions& options);

}  // namespace retrace::model
