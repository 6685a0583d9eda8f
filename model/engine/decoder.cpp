#include "model/engine/decoder.h"

#include <algorithm>

#include "core/error.h"
#include "model/engine/generate.h"

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

void Decoder::add(TextRequest text) {
  if (text.prompt.empty()) fail(Code::input, "the prompt has no tokens");
  runner_.check(text.prompt);
  waiting_.push_back(std::move(text));
}

bool Decoder::step() {
  try {
    admit();
    if (!texts_.empty()) decode();
  } catch (...) {
    waiting_.clear();
    texts_.clear();
    throw;
  }
  return !texts_.empty() || !waiting_.empty();
}

void Decoder::admit() {
  while (!waiting_.empty() && static_cast<int64_t>(texts_.size()) < rows_) {
    TextRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    open(std::move(request));
  }
}

void Decoder::open(TextRequest request) {
  Text text{std::move(request), {}, {}, {}};
  const std::vector<int32_t>& prompt = text.request.prompt;
  const int64_t most = text.request.options.max_tokens;
  bool is_open = most > 0;
  if (is_open) {
    const auto size = static_cast<int64_t>(prompt.size());
    runner_.reserve(text.cache, size + std::min(most, kReserveTokens), 0);
    const auto same = std::find_if(texts_.begin(), texts_.end(),
                                   [&](const Text& other) { return other.request.prompt == prompt; });
    if (same == texts_.end()) {
      text.first_logits = prefill(prompt, text.cache);
    } else {
      text.first_logits = same->first_logits;
      runner_.copy(same->cache, size, text.cache);
    }
    text.cache.tokens = size;
    is_open = extend(text, text.first_logits.data(), static_cast<int64_t>(text.first_logits.size()));
  }
  if (is_open)
    texts_.push_back(std::move(text));
  else
    text.request.done(text.made);
}

void Decoder::decode() {
  std::vector<int32_t> ids;
  std::vector<TextCache*> caches;
  for (Text& text : texts_) {
    ids.push_back(text.made.back());
    caches.push_back(&text.cache);
  }
  const std::vector<float> logits = runner_.logits(runner_.run_rows(ids, caches));
  const auto vocabulary = static_cast<int64_t>(logits.size() / texts_.size());
  std::vector<Text> open;
  for (size_t r = 0; r < texts_.size(); ++r) {
    if (extend(texts_[r], logits.data() + static_cast<int64_t>(r) * vocabulary, vocabulary))
      open.push_back(std::move(texts_[r]));
    else
      texts_[r].request.done(texts_[r].made);
  }
  texts_ = std::move(open);
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
  const GenerateOptions& options = text.request.options;
  const int32_t token = choose_token(logits, vocabulary, options, static_cast<int64_t>(text.made.size()));
  const std::vector<int32_t>& stops = options.stop_tokens;
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) return false;
  text.made.push_back(token);
  if (options.should_stop && options.should_stop(text.made)) return false;
  return static_cast<int64_t>(text.made.size()) < options.max_tokens;
}

}  // namespace retrace::model
