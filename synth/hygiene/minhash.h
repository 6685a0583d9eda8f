// MinHash (Broder 1997) of texts as sets of 5-grams of words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "synth/input/snapshot.h"
#include "synth/shingles.h"

namespace retrace::synth {

// Appends the hashes of the 5-grams of a text.
void add_shingles(std::string_view text, const WordRule& rule, std::vector<uint64_t>* shingles);
// The least hash of each of 256 permutations; empty for no shingles. Sorts `shingles` and makes them unique.
std::vector<uint64_t> minhash(std::vector<uint64_t>* shingles);
// Share of equal entries: an estimate of the Jaccard similarity, standard error 0.03. 0 if either is empty.
double estimated_jaccard(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b);

inline constexpr size_t kPackedBytes = 2;  // an entry of a packed signature

// A signature in 16 bits an entry, for storage: chance agreements add 1/65536 to an estimate.
std::string pack_signature(const std::vector<uint64_t>& signature);
double packed_jaccard(std::string_view a, std::string_view b);
// Of a repository's source files, file by file; "" if no file has 5 words.
std::string repository_signature(const Snapshot& snapshot);

// MinHash signature over 5-grams of identifiers, file by file; empty if there are fewer than 5 identifiers.
std::vector<uint64_t> minhash_signature(const Snapshot& snapshot);

}  // namespace retrace::synth
