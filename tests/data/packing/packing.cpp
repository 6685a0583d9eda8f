#include "data/packing/packing.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>

#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

// A document whose tokens say where they come from: id = number * 1000 + place.
TokenisedDocument numbered(int number, int64_t length, Random& random, bool labels = true) {
  TokenisedDocument document;
  document.tokens_by_kind.assign(kNumKinds, 0);
  for (int64_t i = 0; i < length; ++i) {
    const auto kind = static_cast<uint8_t>(random.below(kNumKinds));
    document.ids.push_back(static_cast<TokenId>(number * 1000 + i));
    document.weights.push_back(labels && (random.below(2) || i == length - 1) ? 1.0f : 0.0f);
    document.kinds.push_back(kind);
    ++document.tokens_by_kind[kind];
  }
  return document;
}

void require_well_formed(const Sample& sample, int64_t seq_len) {
  REQUIRE(static_cast<int64_t>(sample.input_ids.size()) == seq_len);
  REQUIRE(sample.weights.size() == sample.input_ids.size());
  uint32_t done = 0;
  for (const auto& [begin, end] : sample.spans) {  // non-empty, and they tile the sample
    REQUIRE(begin == done);
    REQUIRE(end > begin);
    REQUIRE(sample.weights[begin] == 0.0f);
    done = end;
  }
  REQUIRE(done == seq_len);
}

int64_t total(const std::vector<int64_t>& counts) {
  int64_t sum = 0;
  for (int64_t count : counts) sum += count;
  return sum;
}

}  // namespace

TEST_CASE("whole documents stay whole, each once, padding counted", "[unit]") {
  Random random(17, 5);
  for (int round = 0; round < 30; ++round) {
    const int64_t seq_len = 16 + static_cast<int64_t>(random.below(100)),
                  window = 1 + static_cast<int64_t>(random.below(40));
    std::vector<Sample> samples;
    WholeDocumentPacker packer(
        seq_len, 7, "d", [&](const Sample& s) { samples.push_back(s); }, window);
    std::map<int, TokenisedDocument> expected;
    int64_t too_long = 0, no_label = 0, tokens = 0, trained = 0;
    for (int number = 1; number <= 120; ++number) {
      const auto length = static_cast<int64_t>(random.below(static_cast<uint64_t>(seq_len) + 4));
      const TokenisedDocument document = numbered(number, length, random, random.below(8) != 0);
      packer.add(document);
      if (length > seq_len) {
        ++too_long;
      } else if (length < 2 || std::none_of(document.weights.begin() + 1, document.weights.end(),
                                            [](float w) { return w > 0; })) {
        ++no_label;
      } else {
        expected[number] = document;
        tokens += length;
        trained += std::count(document.weights.begin() + 1, document.weights.end(), 1.0f);
      }
    }
    const PackingStats stats = packer.finish();
    REQUIRE(stats.dropped_too_long == too_long);
    REQUIRE(stats.dropped_no_label == no_label);
    REQUIRE(stats.documents == static_cast<int64_t>(expected.size()));
    REQUIRE(stats.tokens == tokens);
    REQUIRE(stats.samples == static_cast<int64_t>(samples.size()));
    REQUIRE(stats.tokens + stats.padding_tokens == stats.samples * seq_len);
    REQUIRE(total(stats.tokens_by_kind) == tokens);
    REQUIRE(total(stats.trained_tokens_by_kind) == trained);
    for (const Sample& sample : samples) {
      require_well_formed(sample, seq_len);
      for (const auto& [begin, end] : sample.spans) {
        const int number = sample.input_ids[begin] / 1000;
        if (number == 0) {  // padding
          REQUIRE(end == seq_len);
          for (uint32_t i = begin; i < end; ++i)
            REQUIRE((sample.input_ids[i] == 7 && sample.weights[i] == 0.0f));
          continue;
        }
        auto found = expected.find(number);
        REQUIRE(found != expected.end());
        REQUIRE(std::equal(found->second.ids.begin(), found->second.ids.end(),
                           sample.input_ids.begin() + begin, sample.input_ids.begin() + end));
        REQUIRE(std::equal(found->second.weights.begin() + 1, found->second.weights.end(),
                           sample.weights.begin() + begin + 1, sample.weights.begin() + end));
        expected.erase(found);
      }
    }
    REQUIRE(expected.empty());
  }
}

TEST_CASE("best fit fills what can be filled", "[unit]") {
  Random random(19, 6);
  std::vector<Sample> samples;
  WholeDocumentPacker packer(100, 0, "d", [&](const Sample& s) { samples.push_back(s); });
  int number = 1;
  for (int64_t length : {10, 60, 30, 50, 40, 50, 60}) packer.add(numbered(number++, length, random));
  const PackingStats stats = packer.finish();  // 60+40, 60+30+10, 50+50
  REQUIRE(stats.samples == 3);
  REQUIRE(stats.padding_tokens == 0);
}

TEST_CASE("concatenated documents are cut at the sample and go on as documents of their own", "[unit]") {
  Random random(23, 7);
  for (int round = 0; round < 30; ++round) {
    const int64_t seq_len = 16 + static_cast<int64_t>(random.below(60));
    std::vector<Sample> samples;
    ConcatenatingPacker packer(seq_len, 7, "d", [&](const Sample& s) { samples.push_back(s); });
    std::vector<TokenId> expected;
    int64_t documents = 0;
    for (int number = 1; number <= 40; ++number) {
      const TokenisedDocument document =
          numbered(number, 2 + static_cast<int64_t>(random.below(150)), random);
      packer.add(document);
      expected.insert(expected.end(), document.ids.begin(), document.ids.end());
      ++documents;
    }
    const PackingStats stats = packer.finish();
    REQUIRE(stats.documents == documents);
    std::vector<TokenId> got;
    int64_t labels = 0;
    for (const Sample& sample : samples) {
      require_well_formed(sample, seq_len);
      for (const auto& [begin, end] : sample.spans) {
        const int number = sample.input_ids[begin] / 1000;
        if (number == 0) continue;
        for (uint32_t i = begin; i < end; ++i) {  // one document in a span, its tokens in order
          REQUIRE(sample.input_ids[i] == sample.input_ids[begin] + static_cast<int32_t>(i - begin));
          labels += sample.weights[i] > 0;
        }
        got.insert(got.end(), sample.input_ids.begin() + begin, sample.input_ids.begin() + end);
      }
    }
    // What a sample without a label held is gone, and counted; only a last sample can be so short here.
    REQUIRE(stats.samples == static_cast<int64_t>(samples.size()));
    REQUIRE(static_cast<int64_t>(expected.size() - got.size()) <= (stats.dropped_no_label > 0 ? seq_len : 0));
    REQUIRE(std::equal(got.begin(), got.end(), expected.begin()));
    REQUIRE(total(stats.trained_tokens_by_kind) >= labels);
  }
}

TEST_CASE("foreign samples are cut or padded to the length of training", "[unit]") {
  Random random(29, 8);
  const Sample sample = random_sample(random, 50, false);
  for (int64_t seq_len : {2, 17, 49, 50, 51, 200}) {
    const Sample fitted = fit_to_length(sample, seq_len, 3);
    require_well_formed(fitted, seq_len);
    const auto kept = static_cast<std::ptrdiff_t>(std::min<int64_t>(seq_len, 50));
    REQUIRE(std::equal(sample.input_ids.begin(), sample.input_ids.begin() + kept, fitted.input_ids.begin()));
    REQUIRE(std::equal(sample.weights.begin(), sample.weights.begin() + kept, fitted.weights.begin()));
  }
}

}  // namespace retrace::data
