// Cuts text into pieces before byte-pair merging, by the regular expressions that a tokenizer declares.
// Promise: the pieces are non-empty and, put together, are the input. Invalid UTF-8 is cut out as pieces of
// its own and ends the text for look-ahead on either side.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::data {

class PieceSink {
 public:
  virtual ~PieceSink() = default;
  virtual void piece(std::string_view bytes) = 0;
};

class PreTokenizer {
 public:
  // Each pattern isolates its matches inside the pieces that the patterns before it left (HF's Split with
  // behaviour "Isolated"). Patterns are in the dialect that tiktoken and HF share; Error{input} names a
  // construct outside it.
  explicit PreTokenizer(std::vector<std::string> patterns);
  ~PreTokenizer();
  void split(std::string_view bytes, PieceSink& sink) const;  // thread-safe
  const std::vector<std::string>& patterns() const { return patterns_; }

 private:
  class Regex;
  void split_valid(size_t step, std::string_view text, PieceSink& sink) const;
  std::vector<std::string> patterns_;
  std::vector<std::unique_ptr<Regex>> regexes_;
};

// Patterns of the tokenizer families.
extern const char* const kLlama3Pattern;     // Llama-3 tokenizer.model
extern const char* const kGpt2Pattern;       // HF ByteLevel with use_regex
extern const char* const kEachDigitPattern;  // HF Digits, individual_digits
extern const char* const kDigitRunPattern;   // HF Digits, otherwise

// The same expression in PCRE2's dialect: \s is Unicode White_Space, as in the other engines.
std::string to_pcre2(const std::string& pattern);

}  // namespace retrace::data
