#include "synth/search/gates.h"

#include <unordered_set>
#include <vector>

#include "core/text.h"
#include "synth/shingles.h"

namespace retrace::synth {

namespace {

constexpr size_t kVerbatimBytes = 40, kGram = 13;

std::vector<uint64_t> grams(std::string_view text) {
  return shingles_of(text, kLexicalTokens, kGram);
}

std::unordered_set<uint64_t> gram_set(std::string_view text) {
  const std::vector<uint64_t> all = grams(text);
  return {all.begin(), all.end()};
}

}  // namespace

Gates measure_overlap(std::string_view thought, std::string_view code, std::string_view context) {
  Gates gates;
  for (std::string_view line : split_lines(code)) {
    line = trim(line);
    if (line.size() < kVerbatimBytes || thought.find(line) == std::string_view::npos) continue;
    gates.verbatim_lines += context.find(line) == std::string_view::npos;
  }
  const std::vector<uint64_t> own = grams(thought);
  if (own.empty()) return gates;
  const std::unordered_set<uint64_t> target = gram_set(code);
  std::vector<uint64_t> shared;
  for (uint64_t gram : own)
    if (target.count(gram)) shared.push_back(gram);
  if (shared.empty()) return gates;
  const std::unordered_set<uint64_t> visible = gram_set(context);
  size_t leaked = 0;
  for (uint64_t gram : shared) leaked += visible.count(gram) == 0;
  gates.ngram13 = static_cast<double>(leaked) / static_cast<double>(own.size());
  return gates;
}

Json to_json(const Gates& gates) {
  Json out = {{"verbatim_lines", gates.verbatim_lines}, {"ngram13", gates.ngram13}};
  if (gates.metered) {
    out["ppm_gain_nats"] = gates.ppm_gain_nats;
    out["copy_discounted_nats"] = gates.copy_discounted_nats;
  }
  return out;
}

}  // namespace retrace::synth
