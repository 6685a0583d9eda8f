#include "model/decoder.h"

#include <algorithm>

#include "model/generate.h"

namespace retrace::model {

namespace {

constexpr int64_t kReserveTokens = 1024;

// Lends a cache to the runner, and takes it back.
class Lent {
 public:
  Lent(LlamaRunner& runner, TextCache& cache) : runner_(runner), cache_(cache) { runner_.swap_cache(cache_); }
  ~Lent() { runner_.swap_cache(cache_); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

 private:
  LlamaRunner& runner_;
  TextCache& cache_;
};

}  // namespace

void Decoder::run(const std::vector<std::vector<int32_t>>& prompts,
                  const std::vector<GenerateOptions>& options, const TextDone& done) {
  std::vector<Text> texts;
  texts.reserve(static_cast<size_t>(rows_));
  size_t next = 0;
  while (next < prompts.size() || !texts.empty()) {
    for (; next < prompts.size() && static_cast<int64_t>(texts.size()) < rows_; ++next) {
      Text text{next, &options[next], {}, {}, {}};
      bool open = text.options->max_tokens > 0;
      if (open) {
        const auto size = static_cast<int64_t>(prompts[next].size());
        runner_.reserve(text.cache, size + std::min(text.options->max_tokens, kReserveTokens), 0);
        const auto same = std::find_if(texts.begin(), texts.end(), [&](const Text& other) {
          return prompts[other.number] == prompts[next];
        });
        if (same == texts.end()) {
          text.first_logits = prefill(prompts[next], text.cache);
        } else {
          text.first_logits = same->first_logits;
          runner_.copy(same->cache, size, text.cache);
        }
        text.cache.tokens = size;
        open = extend(text, text.first_logits.data(), static_cast<int64_t>(text.first_logits.size()));
      }
      if (open)
        texts.push_back(std::move(text));
      else
        done(text.number, text.made);
    }
    if (texts.empty()) continue;
    std::vector<int32_t> ids;
    std::vector<TextCache*> caches;
    for (Text& text : texts) {
      ids.push_back(text.made.back());
      caches.push_back(&text.cache);
    }
    const std::vector<float> logits = runner_.logits(runner_.run_rows(ids, caches));
    const auto vocabulary = static_cast<int64_t>(logits.size() / texts.size());
    std::vector<Text> open;
    open.reserve(static_cast<size_t>(rows_));
    for (size_t r = 0; r < texts.size(); ++r) {
      if (extend(texts[r], logits.data() + static_cast<int64_t>(r) * vocabulary, vocabulary))
        open.push_back(std::move(texts[r]));
      else
        done(texts[r].number, texts[r].made);
    }
    texts = std::move(open);
  }
}

std::vector<float> Decoder::prefill(const std::vector<int32_t>& prompt, TextCache& cache) {
  const Lent lent(runner_, cache);
  const auto size = static_cast<int64_t>(prompt.size());
  std::vector<float> logits;
  for (int64_t begin = 0; begin < size; begin += chunk_) {
    const int64_t end = std::min(size, begin + chunk_);
    const at::Tensor x_td =
        runner_.run({prompt.begin() + begin, prompt.begin() + end}, {0, end - begin}, begin, true);
    if (end == size) logits = runner_.logits(x_td.narrow(0, x_td.size(0) - 1, 1));
  }
  return logits;
}

// Chooses the next token. False: the text has ended.
bool Decoder::extend(Text& text, const float* logits, int64_t vocabulary) const {
  const GenerateOptions& options = *text.options;
  const int32_t token = choose_token(logits, vocabulary, options, static_cast<int64_t>(text.made.size()));
  const std::vector<int32_t>& stops = options.stop_tokens;
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) return false;
  text.made.push_back(token);
  if (options.should_stop && options.should_stop(text.made)) return false;
  return static_cast<int64_t>(text.made.size()) < options.max_tokens;
}

}  // namespace retrace::model
