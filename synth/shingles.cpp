#include "synth/shingles.h"

#include <string>

#include "core/hash.h"

namespace retrace::synth {

namespace {

bool in_word(char c, const WordRule& rule) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c == '_' && rule.underscore) || ((c & 0x80) != 0 && rule.beyond_ascii);
}

bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

uint64_t hash_of(std::string_view word, const WordRule& rule) {
  if (!rule.lower_case) return xxh3_64(word);
  std::string lower(word);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return xxh3_64(lower);
}

}  // namespace

std::vector<uint64_t> word_hashes(std::string_view text, const WordRule& rule) {
  std::vector<uint64_t> out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (in_word(text[i], rule)) {
      while (end < text.size() && in_word(text[end], rule)) ++end;
      const bool number = text[i] >= '0' && text[i] <= '9';
      if (rule.numbers || !number) out.push_back(hash_of(text.substr(i, end - i), rule));
    } else if (rule.punctuation && !is_blank(text[i])) {
      out.push_back(xxh3_64(text.substr(i, 1)));
    }
    i = end;
  }
  return out;
}

std::vector<uint64_t> shingles_of(std::string_view text, const WordRule& rule, size_t n) {
  std::vector<uint64_t> out;
  each_shingle(word_hashes(text, rule), n, [&](uint64_t shingle) {
    out.push_back(shingle);
    return true;
  });
  return out;
}

}  // namespace retrace::synth
