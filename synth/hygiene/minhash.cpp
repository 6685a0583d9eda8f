#include "synth/hygiene/minhash.h"

#include <algorithm>
#include <limits>

#include "core/hash.h"
#include "core/random.h"

namespace retrace::synth {

namespace {

constexpr size_t kPermutations = 256, kShingle = 5;
constexpr size_t kBands = 25, kRows = 5;
constexpr size_t kPackedBytes = 2;  // an entry

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::vector<uint64_t> word_hashes(std::string_view text, Words words) {
  std::vector<uint64_t> hashes;
  for (size_t at = 0; at < text.size();) {
    if (!is_word(text[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    if (words == Words::all || text[at] < '0' || text[at] > '9')
      hashes.push_back(xxh3_64(text.substr(at, end - at)));
    at = end;
  }
  return hashes;
}

}  // namespace

int64_t count_words(std::string_view text, Words words) {
  return static_cast<int64_t>(word_hashes(text, words).size());
}

void add_shingles(std::string_view text, Words words, std::vector<uint64_t>* shingles) {
  const auto hashes = word_hashes(text, words);
  for (size_t i = 0; i + kShingle <= hashes.size(); ++i) {
    uint64_t shingle = 0;
    for (size_t k = 0; k < kShingle; ++k) shingle = mix64(shingle ^ hashes[i + k]);
    shingles->push_back(shingle);
  }
}

std::vector<uint64_t> minhash(std::vector<uint64_t>* shingles) {
  if (shingles->empty()) return {};
  std::sort(shingles->begin(), shingles->end());
  shingles->erase(std::unique(shingles->begin(), shingles->end()), shingles->end());
  std::vector<uint64_t> signature(kPermutations, std::numeric_limits<uint64_t>::max());
  for (size_t k = 0; k < kPermutations; ++k) {
    const uint64_t multiply = random_u64(k, 1, 0) | 1, add = random_u64(k, 2, 0);
    for (uint64_t shingle : *shingles) {
      const uint64_t product = shingle * multiply + add;
      signature[k] = std::min(signature[k], product ^ (product >> 32));
    }
  }
  return signature;
}

double estimated_jaccard(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  if (a.empty() || a.size() != b.size()) return 0;
  size_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  return static_cast<double>(equal) / static_cast<double>(a.size());
}

std::string pack_signature(const std::vector<uint64_t>& signature) {
  std::string packed;
  for (const uint64_t entry : signature)
    for (size_t byte = 0; byte < kPackedBytes; ++byte)
      packed += static_cast<char>(mix64(entry) >> (8 * byte) & 255U);
  return packed;
}

double packed_jaccard(std::string_view a, std::string_view b) {
  if (a.empty() || a.size() != b.size()) return 0;
  size_t equal = 0;
  for (size_t i = 0; i < a.size(); i += kPackedBytes)
    equal += a.substr(i, kPackedBytes) == b.substr(i, kPackedBytes);
  return static_cast<double>(equal) / static_cast<double>(a.size() / kPackedBytes);
}

std::vector<uint64_t> band_keys(std::string_view packed) {
  std::vector<uint64_t> keys;
  constexpr size_t kBandBytes = kRows * kPackedBytes;
  for (size_t band = 0; band < kBands && (band + 1) * kBandBytes <= packed.size(); ++band)
    keys.push_back(xxh3_64(packed.substr(band * kBandBytes, kBandBytes), band));
  return keys;
}

std::string repository_signature(const Snapshot& snapshot) {
  std::vector<uint64_t> shingles;
  for (const SourceFile& file : snapshot.files)
    if (!file.language.empty()) add_shingles(file.content, Words::all, &shingles);
  return pack_signature(minhash(&shingles));
}

std::vector<uint64_t> minhash_signature(const Snapshot& snapshot) {
  std::vector<uint64_t> shingles;
  for (const auto& file : snapshot.files)
    if (!file.language.empty()) add_shingles(file.content, Words::identifiers, &shingles);
  return minhash(&shingles);
}

}  // namespace retrace::synth
