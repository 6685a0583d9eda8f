// Byte-level BPE training: distinct pieces with their counts, pair counts kept up to date merge by merge.
// Deterministic: of the most frequent pairs the smallest (left, right) is merged.
#include <algorithm>
#include <queue>
#include <unordered_map>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/hf_writer.h"
#include "data/tokenizer/pretokenizer.h"

namespace retrace::data {

namespace {

struct Word {
  std::vector<TokenId> ids;
  int64_t count;
};

struct PieceHash {
  size_t operator()(std::string_view piece) const { return xxh3_64(piece); }
};

// Distinct pieces in order of first appearance.
std::vector<Word> count_words(const std::vector<std::string>& texts) {
  struct Counter : PieceSink {
    void piece(std::string_view bytes) override {
      const auto [at, fresh] = index.emplace(bytes, words.size());
      if (fresh) {
        words.push_back({{}, 0});
        for (unsigned char byte : bytes) words.back().ids.push_back(byte);
      }
      ++words[at->second].count;
    }
    std::unordered_map<std::string_view, size_t, PieceHash> index;
    std::vector<Word> words;
  } counter;
  const PreTokenizer cut({kLlama3Pattern});
  uint64_t total = 0;
  for (const std::string& text : texts) total += text.size();
  Progress progress("tokenizer: counting", total, "bytes");
  for (const std::string& text : texts) {
    cut.split(text, counter);
    progress.add(text.size());
  }
  return std::move(counter.words);
}

uint64_t key_of(TokenId left, TokenId right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

class Trainer {
 public:
  explicit Trainer(std::vector<Word> words) : words_(std::move(words)) {
    for (size_t w = 0; w < words_.size(); ++w) {
      const auto& ids = words_[w].ids;
      for (size_t i = 0; i + 1 < ids.size(); ++i) change(key_of(ids[i], ids[i + 1]), w, words_[w].count);
    }
    for (const auto& [key, pair] : pairs_) queue_.push({pair.count, key});
    touched_.clear();
  }

  // The most frequent pair, merged into `result` everywhere; false if no pair is left.
  bool merge_next(TokenId result, Merge& merge) {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      auto found = pairs_.find(top.key);
      if (found == pairs_.end() || found->second.count <= 0) continue;
      if (found->second.count != top.count) continue;  // a newer candidate is in the queue
      merge = {static_cast<TokenId>(top.key >> 32), static_cast<TokenId>(top.key & 0xFFFFFFFFu), result};
      apply(merge, std::move(found->second.words));
      return true;
    }
    return false;
  }

 private:
  struct Candidate {
    int64_t count;
    uint64_t key;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : key > other.key;
    }
  };
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> words;  // where it stands or stood; may repeat
  };

  void change(uint64_t key, size_t word, int64_t by) {
    Pair& pair = pairs_[key];
    pair.count += by;
    if (by > 0 && (pair.words.empty() || pair.words.back() != word))
      pair.words.push_back(static_cast<uint32_t>(word));
    touched_.push_back(key);
  }

  void apply(const Merge& merge, std::vector<uint32_t> places) {
    touched_.clear();
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (uint32_t place : places) rewrite(place, merge);
    pairs_.erase(key_of(merge.left, merge.right));
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (uint64_t key : touched_)
      if (auto found = pairs_.find(key); found != pairs_.end() && found->second.count > 0)
        queue_.push({found->second.count, key});
  }

  void rewrite(uint32_t place, const Merge& merge) {
    auto& ids = words_[place].ids;
    const int64_t count = words_[place].count;
    size_t kept = 0;
    for (size_t i = 0; i < ids.size();) {
      if (i + 1 < ids.size() && ids[i] == merge.left && ids[i + 1] == merge.right) {
        change(key_of(merge.left, merge.right), place, -count);
        if (kept > 0) {
          change(key_of(ids[kept - 1], merge.left), place, -count);
          change(key_of(ids[kept - 1], merge.result), place, count);
        }
        if (i + 2 < ids.size()) {
          change(key_of(merge.right, ids[i + 2]), place, -count);
          change(key_of(merge.result, ids[i + 2]), place, count);
        }
        ids[kept++] = merge.result;
        i += 2;
      } else {
        ids[kept++] = ids[i++];
      }
    }
    ids.resize(kept);
  }

  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<uint64_t> touched_;
};

}  // namespace

void train_byte_bpe(const std::vector<std::string>& texts, int64_t vocab_size,
                    const std::vector<std::string>& special, const std::filesystem::path& folder) {
  const auto merges_wanted = vocab_size - 256 - static_cast<int64_t>(special.size());
  if (merges_wanted < 0 || vocab_size > (1 << 24))
    throw Error(
        Code::recipe, fmt::format("a byte-level vocabulary of {} tokens", vocab_size),
        fmt::format("256 bytes and {} special tokens must fit, and at most 2^24 in all", special.size()),
        "tokenizer.vocab_size");
  std::vector<Word> words = count_words(texts);
  if (words.empty()) throw Error(Code::input, "no text to train a tokenizer on", "");
  Trainer trainer(std::move(words));
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  std::vector<Merge> merges;
  Progress progress("tokenizer: merging", static_cast<uint64_t>(merges_wanted), "tokens");
  Merge merge{};
  while (static_cast<int64_t>(merges.size()) < merges_wanted &&
         trainer.merge_next(static_cast<TokenId>(tokens.size()), merge)) {
    tokens.push_back(tokens[static_cast<size_t>(merge.left)] + tokens[static_cast<size_t>(merge.right)]);
    merges.push_back(merge);
    progress.add();
  }
  if (static_cast<int64_t>(merges.size()) < merges_wanted)
    warn("the text gives only {} tokens, not {}: the vocabulary is smaller", tokens.size() + special.size(),
         vocab_size);
  write_hf_tokenizer({tokens, merges, special}, folder);
}

}  // namespace retrace::data
