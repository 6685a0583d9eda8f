#include "model/engine/engine.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "model/device/cuda_library.h"
#include "model/engine/decoder.h"
#include "model/engine/llama_runner.h"
#include "model/files/weights.h"
#include "model/ops/attention.h"
#include "model/ops/linear.h"

namespace retrace::model {

namespace {

using Ids = std::vector<int32_t>;

struct Kept : KeptPrefix {
  Ids ids;
  TextCache cache;
  at::Tensor last_1d;
};

class LlamaEngine : public Engine {
 public:
  LlamaEngine(const LlamaConfig& config, const WeightSource& weights, const EngineOptions& options,
              at::ScalarType dtype, c10::Device device)
      : runner_(config, weights, dtype, device),
        fingerprint_(weights.fingerprint()),
        chunk_(options.prefill_chunk),
        decode_rows_(options.decode_rows),
        shared_(runner_, chunk_, decode_rows_) {}

  const LlamaConfig& config() const override { return runner_.config(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  int64_t tokens_computed() const override { return runner_.tokens_computed(); }

  std::vector<float> logprobs(const Ids& ids, int64_t from) override {
    const int64_t size = static_cast<int64_t>(ids.size());
    if (from < 1 || from > size)
      fail(Code::input, "log-probabilities of {} tokens cannot start at token {}", size, from);
    std::vector<float> result;
    if (from == size) return result;
    runner_.check(ids);
    kept_.clear();
    runner_.reserve(size - 1, 0);
    prefill(ids, size - 1, 0, [&](int64_t begin, const at::Tensor& x_td) {
      const int64_t end = begin + x_td.size(0), first = std::max(begin, from - 1);
      if (first < end) score_rows(x_td.narrow(0, first - begin, end - first), ids, first + 1, result);
    });
    return result;
  }

  std::vector<std::vector<float>> logprobs_after(const Ids& prefix,
                                                 const std::vector<Ids>& continuations) override {
    if (prefix.empty()) fail(Code::input, "continuations are scored after a prefix of at least one token");
    runner_.check(prefix);
    for (const Ids& continuation : continuations) runner_.check(continuation);
    keep_prefix(prefix);
    std::vector<std::vector<float>> result = score_first(last_1d_, continuations);
    score_rest(static_cast<int64_t>(prefix.size()), continuations, result);
    return result;
  }

  Ids generate(const Ids& prompt, const GenerateOptions& options) override {
    Ids made;
    generate_all({prompt}, {options}, [&](size_t, const Ids& ids) { made = ids; });
    return made;
  }

  void generate_all(const std::vector<Ids>& prompts, const std::vector<GenerateOptions>& options,
                    const TextDone& done) override {
    ensure(prompts.size() == options.size(), "every prompt has its options");
    Decoder own(runner_, chunk_, decode_rows_);
    for (size_t i = 0; i < prompts.size(); ++i)
      own.add({prompts[i], options[i], [&done, i](const Ids& made) { done(i, made); }});
    while (own.step()) {
    }
  }

  TextDecoder* decoder() override { return &shared_; }
  void swap_kept(std::unique_ptr<KeptPrefix>& other) override {
    if (!other) other = std::make_unique<Kept>();
    auto& with = static_cast<Kept&>(*other);
    runner_.swap_cache(with.cache);
    std::swap(kept_, with.ids);
    std::swap(last_1d_, with.last_1d);
  }

 private:
  // Makes the cache hold exactly what a fresh prefill of `prefix` would. Chunks begin at the same places in
  // every prefill, so only whole chunks of a shared beginning, or the whole prefix, are taken over.
  void keep_prefix(const Ids& prefix) {
    if (kept_ == prefix) return;
    const auto shared = std::mismatch(kept_.begin(), kept_.end(), prefix.begin(), prefix.end()).first;
    const auto length = static_cast<int64_t>(prefix.size());
    const int64_t whole = std::min((shared - kept_.begin()) / chunk_, (length - 1) / chunk_) * chunk_;
    kept_.clear();  // until it is true again: an exception may pass
    runner_.reserve(length, whole);
    prefill({prefix.begin() + whole, prefix.end()}, length - whole, whole,
            [&](int64_t, const at::Tensor& x_td) { last_1d_ = x_td.narrow(0, x_td.size(0) - 1, 1).clone(); });
    kept_ = prefix;
  }

  // Runs ids[0, count) in chunks behind `cached` tokens, caching them; each(begin, hidden) gets every chunk.
  template <class Each>
  void prefill(const Ids& ids, int64_t count, int64_t cached, const Each& each) {
    for (int64_t begin = 0; begin < count; begin += chunk_) {
      const int64_t end = std::min(count, begin + chunk_);
      each(begin,
           runner_.run({ids.begin() + begin, ids.begin() + end}, {0, end - begin}, cached + begin, true));
    }
  }

  // Appends log p(ids[first + r]) for each row r.
  void score_rows(const at::Tensor& x_rd, const Ids& ids, int64_t first, std::vector<float>& into) const {
    const std::vector<float> scores =
        runner_.logprobs(x_rd, {ids.begin() + first, ids.begin() + first + x_rd.size(0)});
    into.insert(into.end(), scores.begin(), scores.end());
  }

  std::vector<std::vector<float>> score_first(const at::Tensor& last_1d,
                                              const std::vector<Ids>& continuations) const {
    Ids firsts;
    for (const Ids& continuation : continuations)
      if (!continuation.empty()) firsts.push_back(continuation.front());
    std::vector<std::vector<float>> result(continuations.size());
    if (firsts.empty()) return result;
    const at::Tensor rows = last_1d.expand({static_cast<int64_t>(firsts.size()), -1}).contiguous();
    const std::vector<float> scores = runner_.logprobs(rows, firsts);
    size_t next = 0;
    for (size_t k = 0; k < continuations.size(); ++k)
      if (!continuations[k].empty()) result[k].push_back(scores[next++]);
    return result;
  }

  // Continuations share a forward pass as spans while they fit into a chunk; a longer one runs alone, in
  // chunks.
  void score_rest(int64_t prefix, const std::vector<Ids>& continuations,
                  std::vector<std::vector<float>>& result) {
    std::vector<size_t> batch;
    int64_t tokens = 0;
    for (size_t k = 0; k < continuations.size(); ++k) {
      const int64_t count = static_cast<int64_t>(continuations[k].size()) - 1;
      if (count < 1) continue;
      if (count > chunk_) {
        runner_.reserve(prefix + count, prefix);
        prefill(continuations[k], count, prefix, [&](int64_t begin, const at::Tensor& x_td) {
          score_rows(x_td, continuations[k], begin + 1, result[k]);
        });
        continue;
      }
      if (tokens + count > chunk_)
        score_batch(prefix, continuations, batch, result), batch.clear(), tokens = 0;
      batch.push_back(k);
      tokens += count;
    }
    if (!batch.empty()) score_batch(prefix, continuations, batch, result);
  }

  void score_batch(int64_t prefix, const std::vector<Ids>& continuations, const std::vector<size_t>& batch,
                   std::vector<std::vector<float>>& result) {
    Ids ids;
    std::vector<int64_t> starts = {0};
    for (size_t k : batch) {
      ids.insert(ids.end(), continuations[k].begin(), continuations[k].end() - 1);
      starts.push_back(static_cast<int64_t>(ids.size()));
    }
    const at::Tensor x_td = runner_.run(ids, starts, prefix, false);
    for (size_t i = 0; i < batch.size(); ++i)
      score_rows(x_td.narrow(0, starts[i], starts[i + 1] - starts[i]), continuations[batch[i]], 1,
                 result[batch[i]]);
  }

  LlamaRunner runner_;
  std::string fingerprint_;
  int64_t chunk_, decode_rows_;
  Decoder shared_;
  Ids kept_;  // whose keys and values the runner's cache holds
  at::Tensor last_1d_;
};

}  // namespace

void Engine::generate_all(const std::vector<Ids>& prompts, const std::vector<GenerateOptions>& options,
                          const TextDone& done) {
  ensure(prompts.size() == options.size(), "every prompt has its options");
  for (size_t i = 0; i < prompts.size(); ++i) done(i, generate(prompts[i], options[i]));
}

std::unique_ptr<Engine> make_engine(const LlamaConfig& config, WeightSource& weights,
                                    const EngineOptions& options) {
  const c10::Device device(choose_device(options.device));
  if (options.dtype != "float32" && options.dtype != "bfloat16")
    throw Error(Code::recipe, fmt::format("unknown compute dtype '{}'", options.dtype),
                "use float32 or bfloat16");
  if (options.prefill_chunk < 1)
    fail(Code::recipe, "prefill_chunk must be at least 1, not {}", options.prefill_chunk);
  if (options.decode_rows < 1 || options.decode_rows > kFewRows)
    fail(Code::recipe, "decode_rows must lie in 1..{}, not {}", kFewRows, options.decode_rows);
  if (options.threads > 0) at::set_num_threads(options.threads);
  const at::ScalarType dtype = options.dtype == "float32" ? at::kFloat : at::kBFloat16;
  const AttentionCheck attention =
      check_attention(dtype, {config.num_heads, config.num_kv_heads, config.head_dim}, device);
  debug("attention: backend {}, {:.1e} from fp32 in its self-test", attention.backend, attention.error);
  return std::make_unique<LlamaEngine>(config, weights, options, dtype, device);
}

std::unique_ptr<Engine> open_engine(const std::filesystem::path& hf_folder, const EngineOptions& options) {
  const LlamaConfig config = read_llama_config(hf_folder);
  const std::unique_ptr<WeightSource> weights = open_hf_weights(hf_folder, config);
  return make_engine(config, *weights, options);
}

}  // namespace retrace::model
