#include "data/tokenizer/bpe_tokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "data/utf8.h"

namespace retrace::data {

namespace {

std::string nfc_of_valid(std::string_view text) {
  utf8proc_uint8_t* out = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &out,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) fail(Code::internal, "NFC failed: {}", utf8proc_errmsg(size));
  std::string result(reinterpret_cast<const char*>(out), static_cast<size_t>(size));
  std::free(out);
  return result;
}

// NFC of the valid stretches; invalid bytes stay.
std::string nfc(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const size_t valid = valid_utf8_prefix(bytes);
    if (valid > 0) out += nfc_of_valid(bytes.substr(0, valid));
    bytes.remove_prefix(valid);
    const size_t invalid = invalid_utf8_prefix(bytes);
    out += bytes.substr(0, invalid);
    bytes.remove_prefix(invalid);
  }
  return out;
}

// Leftmost, then longest, occurrences of a few words.
class WordFinder {
 public:
  void add(const std::string& word, TokenId id) {
    auto& words = by_first_[static_cast<unsigned char>(word[0])];
    words.emplace_back(word, id);
    std::stable_sort(words.begin(), words.end(),
                     [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
    empty_ = false;
  }
  bool empty() const { return empty_; }
  // Calls text(view) and found(id) in order.
  template <class Text, class Found>
  void cut(std::string_view bytes, Text&& text, Found&& found) const {
    size_t done = 0, at = 0;
    while (at < bytes.size()) {
      const auto* hit = match(bytes.substr(at));
      if (!hit) {
        ++at;
        continue;
      }
      if (at > done) text(bytes.substr(done, at - done));
      found(hit->second);
      done = at += hit->first.size();
    }
    if (done < bytes.size()) text(bytes.substr(done));
  }

 private:
  const std::pair<std::string, TokenId>* match(std::string_view rest) const {
    for (const auto& word : by_first_[static_cast<unsigned char>(rest[0])])
      if (rest.substr(0, word.first.size()) == word.first) return &word;
    return nullptr;
  }
  std::array<std::vector<std::pair<std::string, TokenId>>, 256> by_first_;
  bool empty_ = true;
};

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeTokenizerParts parts)
      : bpe_(std::move(parts.bpe)), pretokenizer_(parts.patterns), nfc_(parts.nfc) {
    texts_ = bpe_.tokens();
    for (const AddedToken& token : parts.added) {
      const auto id = static_cast<size_t>(token.id);
      if (texts_.size() <= id) texts_.resize(id + 1);
      texts_[id] = token.text;
      names_[token.text] = token.id;
      if (special_.size() <= id) special_.resize(id + 1, false);
      special_[id] = token.special;
      if (!token.special && !token.text.empty())
        (token.normalized ? words_in_normalised_ : words_in_raw_).add(token.text, token.id);
    }
    special_.resize(texts_.size(), false);
    bos_ = special(parts.bos);
    eos_ = special(parts.eos);
    set_fingerprint(parts);
  }

  std::vector<TokenId> encode(std::string_view bytes) const override {
    std::vector<TokenId> out;
    out.reserve(bytes.size() / 3 + 4);
    auto found = [&](TokenId id) { out.push_back(id); };
    if (words_in_raw_.empty()) {
      encode_text(bytes, out);
    } else {
      words_in_raw_.cut(
          bytes, [&](std::string_view text) { encode_text(text, out); }, found);
    }
    return out;
  }

  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const override {
    std::string out;
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto id = static_cast<size_t>(ids[i]);
      if (ids[i] < 0 || id >= texts_.size() || (texts_[id].empty() && !special_[id]))
        fail(Code::input, "id {} at place {} is not in the vocabulary of {}", ids[i], i, texts_.size());
      if (!(skip_special && special_[id])) out += texts_[id];
    }
    return out;
  }

  int64_t vocab_size() const override { return static_cast<int64_t>(texts_.size()); }
  std::optional<TokenId> special(std::string_view name) const override {
    auto found = names_.find(name);
    return found == names_.end() ? std::nullopt : std::optional<TokenId>(found->second);
  }
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  struct Merger : PieceSink {
    Merger(const Bpe& merges, std::vector<TokenId>& ids)
        : bpe(merges), cache(merges.thread_cache()), out(ids) {}
    void piece(std::string_view bytes) override { bpe.encode_piece(bytes, cache, out); }
    const Bpe& bpe;
    PieceCache& cache;
    std::vector<TokenId>& out;
  };

  void encode_text(std::string_view bytes, std::vector<TokenId>& out) const {
    std::string normalised;
    if (nfc_) bytes = normalised = nfc(bytes);
    Merger merger(bpe_, out);
    if (words_in_normalised_.empty()) {
      pretokenizer_.split(bytes, merger);
    } else {
      words_in_normalised_.cut(
          bytes, [&](std::string_view text) { pretokenizer_.split(text, merger); },
          [&](TokenId id) { out.push_back(id); });
    }
  }

  void set_fingerprint(const BpeTokenizerParts& parts) {
    Sha256 hash;
    auto add = [&](std::string_view text) {
      const uint64_t size = text.size();
      hash.add({reinterpret_cast<const char*>(&size), sizeof size});
      hash.add(text);
    };
    add(nfc_ ? "byte-bpe nfc" : "byte-bpe");
    add(parts.merges_id);
    for (const std::string& pattern : parts.patterns) add(pattern);
    std::string all;
    for (const std::string& text : texts_) {
      const auto size = static_cast<uint32_t>(text.size());
      all.append(reinterpret_cast<const char*>(&size), sizeof size);
      all += text;
    }
    add(all);
    for (const auto& [name, id] : names_)
      add(fmt::format("{} {} {}", id, special_[static_cast<size_t>(id)] ? "special" : "text", name));
    add(fmt::format("bos {} eos {}", bos_.value_or(-1), eos_.value_or(-1)));
    fingerprint_ = hash.hex();
  }

  Bpe bpe_;
  PreTokenizer pretokenizer_;
  bool nfc_;
  std::vector<std::string> texts_;  // of each id, added tokens included
  std::vector<bool> special_;
  std::map<std::string, TokenId, std::less<>> names_;
  WordFinder words_in_raw_, words_in_normalised_;
  std::optional<TokenId> bos_, eos_;
  std::string fingerprint_;
};

}  // namespace

std::shared_ptr<const Tokenizer> make_bpe_tokenizer(BpeTokenizerParts parts) {
  return std::make_shared<BpeTokenizer>(std::move(parts));
}

const std::vector<std::string>& usual_bos_names() {
  static const std::vector<std::string> names = {"<|begin_of_text|>", "<s>", "<|startoftext|>", "<bos>"};
  return names;
}
const std::vector<std::string>& usual_eos_names() {
  static const std::vector<std::string> names = {"<|end_of_text|>", "</s>", "<|endoftext|>", "<eos>"};
  return names;
}
const std::vector<std::string>& usual_pad_names() {
  static const std::vector<std::string> names = {"<|pad|>", "<|finetune_right_pad_id|>", "<pad>", "[PAD]"};
  return names;
}

}  // namespace retrace::data
