// A token a character, for models of 61 tokens: 'A'..'z' are 0..57, a blank 58; 59 = "<s>", 60 = "</s>".
#pragma once

#include "data/tokenizer/tokenizer.h"

namespace retrace::model::testing {

class LetterTokenizer : public data::Tokenizer {
 public:
  explicit LetterTokenizer(bool has_bos = true, bool has_eos = true) : has_bos_(has_bos), has_eos_(has_eos) {}
  std::vector<data::TokenId> encode(std::string_view bytes) const override {
    std::vector<data::TokenId> ids;
    for (const char c : bytes) ids.push_back(c == ' ' ? 58 : c - 'A');
    return ids;
  }
  std::string decode(const std::vector<data::TokenId>& ids, bool skip_special) const override {
    std::string text;
    for (const auto id : ids) {
      if (id < 58)
        text += static_cast<char>('A' + id);
      else if (id == 58)
        text += ' ';
      else if (!skip_special)
        text += id == 59 ? "<s>" : "</s>";
    }
    return text;
  }
  int64_t vocab_size() const override { return 61; }
  std::optional<data::TokenId> special(std::string_view) const override { return std::nullopt; }
  std::optional<data::TokenId> bos() const override { return has_bos_ ? std::optional(59) : std::nullopt; }
  std::optional<data::TokenId> eos() const override { return has_eos_ ? std::optional(60) : std::nullopt; }
  const std::string& fingerprint() const override { return name_; }

 private:
  bool has_bos_, has_eos_;
  std::string name_ = "letters-0123456789";
};

}  // namespace retrace::model::testing
