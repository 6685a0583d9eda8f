#include "synth/hygiene/minhash.h"

#include <algorithm>
#include <limits>

#include "core/hash.h"
#include "core/random.h"

namespace retrace::synth {

namespace {

constexpr size_t kPermutations = 256, kShingle = 5;

}  // namespace

void add_shingles(std::string_view text, const WordRule& rule, std::vector<uint64_t>* shingles) {
  each_shingle(word_hashes(text, rule), kShingle, [&](uint64_t shingle) {
    shingles->push_back(shingle);
    return true;
  });
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

std::string repository_signature(const Snapshot& snapshot) {
  std::vector<uint64_t> shingles;
  for (const SourceFile& file : snapshot.files)
    if (!file.language.empty()) add_shingles(file.content, kCodeWords, &shingles);
  return pack_signature(minhash(&shingles));
}

std::vector<uint64_t> minhash_signature(const Snapshot& snapshot) {
  std::vector<uint64_t> shingles;
  for (const auto& file : snapshot.files)
    if (!file.language.empty()) add_shingles(file.content, kIdentifiers, &shingles);
  return minhash(&shingles);
}

}  // namespace retrace::synth
