// Texts as sequences of hashed words, and shingles (n words in a row, hashed) over them: what
// near-duplicates, contamination and the search's leak gates compare. Hashes are stored (ledger.db,
// slices.json): they never change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/random.h"

namespace retrace::synth {

// What a word is. Letters and digits of ASCII always belong to words.
struct WordRule {
  bool underscore = true;
  bool beyond_ascii = false;  // bytes of UTF-8 sequences belong to words
  bool lower_case = false;    // ASCII only
  bool punctuation = false;   // every other byte but white space is a word of its own
  bool numbers = true;        // words that begin with a digit count
};
inline constexpr WordRule kCodeWords{};                    // near-duplicates
inline constexpr WordRule kIdentifiers{.numbers = false};  // clusters of repositories
inline constexpr WordRule kProseWords{
    .underscore = false, .beyond_ascii = true, .lower_case = true};                   // benchmarks
inline constexpr WordRule kLexicalTokens{.beyond_ascii = true, .punctuation = true};  // leak gates

// XXH3 of each word, in order.
std::vector<uint64_t> word_hashes(std::string_view text, const WordRule& rule);

// Calls use(hash) for each `n` words in a row; use may return false to stop. True if it never did.
template <class Use>
bool each_shingle(const std::vector<uint64_t>& words, size_t n, Use use) {
  for (size_t i = 0; i + n <= words.size(); ++i) {
    uint64_t shingle = 0;
    for (size_t k = 0; k < n; ++k) shingle = mix64(shingle ^ words[i + k]);
    if (!use(shingle)) return false;
  }
  return true;
}

// All shingles of a text, in order, repetitions included.
std::vector<uint64_t> shingles_of(std::string_view text, const WordRule& rule, size_t n);

}  // namespace retrace::synth
