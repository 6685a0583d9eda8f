#include "data/tokenizer/bpe.h"

#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  return tokens;
}

// The definition, without any cleverness: merge the lowest rank, leftmost, until none is left.
std::vector<TokenId> by_definition(const std::string& piece, const std::vector<Merge>& merges) {
  std::vector<TokenId> ids;
  for (unsigned char byte : piece) ids.push_back(byte);
  while (true) {
    size_t best = ids.size(), best_rank = merges.size();
    for (size_t i = 0; i + 1 < ids.size(); ++i)
      for (size_t rank = 0; rank < best_rank; ++rank)
        if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) {
          best = i;
          best_rank = rank;
        }
    if (best == ids.size()) return ids;
    ids[best] = merges[best_rank].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

// Random merges over the letters a..d; each result is a new token.
std::vector<Merge> random_merges(Random& random, std::vector<std::string>& tokens, size_t count) {
  std::vector<Merge> merges;
  std::vector<TokenId> usable = {'a', 'b', 'c', 'd'};
  while (merges.size() < count) {
    const TokenId left = usable[random.below(usable.size())], right = usable[random.below(usable.size())];
    const std::string text = tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
    if (text.size() > 24 || std::find(tokens.begin(), tokens.end(), text) != tokens.end()) continue;
    tokens.push_back(text);
    merges.push_back({left, right, static_cast<TokenId>(tokens.size()) - 1});
    usable.push_back(merges.back().result);
  }
  return merges;
}

std::vector<TokenId> encode(const Bpe& bpe, const std::string& piece) {
  std::vector<TokenId> ids;
  bpe.encode_piece(piece, bpe.thread_cache(), ids);
  return ids;
}

std::string letters(Random& random, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + random.below(4));
  return text;
}

}  // namespace

TEST_CASE("merging gives what its definition gives, short and long, cached or not", "[unit]") {
  Random random(11, 2);
  for (int vocabulary = 0; vocabulary < 6; ++vocabulary) {
    std::vector<std::string> tokens = byte_tokens();
    const std::vector<Merge> merges = random_merges(random, tokens, 40);
    const Bpe bpe = Bpe::from_merges(tokens, merges, false, {});
    for (int i = 0; i < 60; ++i) {
      const std::string piece = letters(random, i % 6 == 0 ? 90 + random.below(120) : 1 + random.below(30));
      const std::vector<TokenId> expected = by_definition(piece, merges);
      REQUIRE(encode(bpe, piece) == expected);
      REQUIRE(encode(bpe, piece) == expected);
    }
  }
}

TEST_CASE("ranks merge by the joined bytes and take whole pieces first", "[unit]") {
  std::vector<std::string> tokens = byte_tokens();
  for (const char* text : {"bc", "ab", "abc", "xyz"}) tokens.emplace_back(text);
  const Bpe bpe = Bpe::from_ranks(tokens);
  REQUIRE(encode(bpe, "abc") == std::vector<TokenId>{258});
  REQUIRE(encode(bpe, "aabc") == std::vector<TokenId>{'a', 258});  // b+c first, then a+bc
  REQUIRE(encode(bpe, "xyz") == std::vector<TokenId>{259});        // no merge leads there
  REQUIRE(encode(bpe, "axyz") == std::vector<TokenId>{'a', 'x', 'y', 'z'});
}

TEST_CASE("a vocabulary without a byte says so when it is met", "[unit]") {
  std::vector<std::string> tokens = {"a", "b", "ab"};
  REQUIRE(error_of([&] { Bpe::from_ranks(tokens); }).code() == Code::corrupt);
  const Bpe bpe = Bpe::from_merges(tokens, {{0, 1, 2}}, false, {});
  REQUIRE(encode(bpe, "abab") == std::vector<TokenId>{2, 2});
  const Error error = error_of([&] { encode(bpe, "abz"); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(error.message().find("0x7a") != std::string::npos);
}

TEST_CASE("no merge may make a special token, and a merge must make its token", "[unit]") {
  std::vector<std::string> tokens = byte_tokens();
  tokens.push_back("ab");
  std::vector<bool> blocked(257, false);
  blocked[256] = true;
  REQUIRE(error_of([&] {
            Bpe::from_merges(tokens, {{'a', 'b', 256}}, false, blocked);
          }).code() == Code::input);
  REQUIRE(error_of([&] { Bpe::from_merges(tokens, {{'a', 'c', 256}}, false, {}); }).code() == Code::corrupt);
  const Bpe bpe = Bpe::from_merges(tokens, {}, true, blocked);
  REQUIRE(encode(bpe, "ab") == std::vector<TokenId>{'a', 'b'});  // nor is it taken whole
}

TEST_CASE("long pieces take no quadratic time", "[unit]") {
  std::vector<std::string> tokens = byte_tokens();
  std::vector<Merge> merges;
  for (TokenId size = 2, left = ' '; size <= 64; size *= 2) {
    tokens.push_back(std::string(static_cast<size_t>(size), ' '));
    const auto result = static_cast<TokenId>(tokens.size()) - 1;
    merges.push_back({left, left, result});
    left = result;
  }
  const Bpe bpe = Bpe::from_merges(tokens, merges, false, {});
  REQUIRE(encode(bpe, std::string(1 << 20, ' ')).size() == (1 << 20) / 64);
}

TEST_CASE("threads share a vocabulary, and vocabularies do not share caches", "[unit]") {
  Random random(13, 3);
  std::vector<std::string> tokens = byte_tokens(), other_tokens = byte_tokens();
  const Bpe bpe = Bpe::from_merges(tokens, random_merges(random, tokens, 0), false, {});
  const std::vector<Merge> merges = random_merges(random, other_tokens, 30);
  const Bpe other = Bpe::from_merges(other_tokens, merges, false, {});
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) texts.push_back(letters(random, 1 + random.below(16)));
  std::vector<std::thread> threads;
  std::vector<int> wrong(3, 0);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (const std::string& text : texts) {
        wrong[t] += encode(bpe, text).size() != text.size();
        wrong[t] += encode(other, text) != by_definition(text, merges);
      }
    });
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == std::vector<int>{0, 0, 0});
}

}  // namespace retrace::data
