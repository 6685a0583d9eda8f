#include "data/tokenizer/pretokenizer.h"

#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "data/tokenizer/byte_level.h"
#include "data/utf8.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;
using Pieces = std::vector<std::string>;

Pieces pieces(const std::vector<std::string>& patterns, std::string_view text) {
  struct Collect : PieceSink {
    void piece(std::string_view bytes) override { found.emplace_back(bytes); }
    Pieces found;
  } collect;
  PreTokenizer(patterns).split(text, collect);
  return collect.found;
}

}  // namespace

TEST_CASE("pre-tokenizers cut as their families do", "[unit]") {
  const std::string text = "I'll pay 12345 euros\r\n\n  now\xc2\xa0!!\n";
  REQUIRE(pieces({kLlama3Pattern}, text) ==
          Pieces{"I", "'ll", " pay", " ", "123", "45", " euros", "\r\n\n", " ", " now", "\xc2\xa0", "!!\n"});
  REQUIRE(pieces({kGpt2Pattern}, text) ==
          Pieces{"I", "'ll", " pay", " 12345", " euros", "\r\n\n ", " now", "\xc2\xa0", "!!", "\n"});
  REQUIRE(pieces({kEachDigitPattern, kGpt2Pattern}, "x 12a") == Pieces{"x", " ", "1", "2", "a"});
  REQUIRE(pieces({kDigitRunPattern, kGpt2Pattern}, "x 12a") == Pieces{"x", " ", "12", "a"});
  // U+180E is no blank, the long s matches 's without regard to case.
  REQUIRE(pieces({kLlama3Pattern}, " \u180e") == Pieces{" \u180e"});
  REQUIRE(pieces({kLlama3Pattern}, "a'\u017f") == Pieces{"a", "'\u017f"});
  // A letter and digits that came with Unicode 16.
  REQUIRE(pieces({kLlama3Pattern}, "\U00010d4a'll") == Pieces{"\U00010d4a", "'ll"});
  REQUIRE(pieces({kLlama3Pattern}, "12\U00010d41\U00010d41") == Pieces{"12\U00010d41", "\U00010d41"});
  REQUIRE(pieces({}, "whole") == Pieces{"whole"});
}

TEST_CASE("pieces are non-empty and make up the input, whatever the bytes", "[unit]") {
  Random random(7, 1);
  std::vector<std::string> inputs = hard_strings();
  for (int i = 0; i < 300; ++i) {
    inputs.push_back(random_bytes(random, random.below(60)));
    inputs.push_back(random_unicode(random, random.below(60)));
    inputs.push_back(random_unicode(random, 5) + random_bytes(random, 3) + random_unicode(random, 5));
  }
  const std::vector<std::vector<std::string>> families = {
      {kLlama3Pattern}, {kGpt2Pattern}, {kEachDigitPattern, kGpt2Pattern}, {R"(x*)"}};
  for (const auto& patterns : families) {
    for (const std::string& input : inputs) {
      std::string joined;
      for (const std::string& piece : pieces(patterns, input)) {
        REQUIRE(!piece.empty());
        joined += piece;
      }
      REQUIRE(joined == input);
    }
  }
}

TEST_CASE("megabytes without a cut go through", "[unit]") {
  const std::string blanks(3 << 20, ' ');
  REQUIRE(pieces({kLlama3Pattern}, blanks) == Pieces{blanks});
  REQUIRE(pieces({kLlama3Pattern}, blanks + "x").size() == 2);
  REQUIRE(pieces({kLlama3Pattern}, std::string(3 << 20, 'a')).size() == 1);
}

TEST_CASE("constructs on which regex engines differ are refused by name", "[unit]") {
  for (const char* pattern : {R"(\w+)", R"(\bx)", "a.c", "^a", "a$", "[a-z&&[b]]", "[[:alpha:]]", R"([\S])",
                              R"(\pL)", "(?i)a", "(?<n>a)", "a{2}+", "[]a]", R"(\h)", "[a", "\\"}) {
    const Error error = error_of([&] { PreTokenizer({pattern}); });
    REQUIRE(error.code() == Code::input);
    REQUIRE(error.where().find(pattern) != std::string::npos);
  }
  REQUIRE(error_of([] { PreTokenizer({"(a"}); }).code() == Code::input);
  REQUIRE(error_of([] { PreTokenizer({R"(\p{Nonesuch})"}); }).code() == Code::input);
}

TEST_CASE("UTF-8 is told from other bytes as the standard does", "[unit]") {
  struct Case {
    std::string bytes;
    size_t valid, invalid_after;
  };
  const std::vector<Case> cases = {{"", 0, 0},
                                   {"ascii only, more than eight", 27, 0},
                                   {"\xc2\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, 0},
                                   {"a\x80z", 1, 1},
                                   {"\xc0\xaf", 0, 2},          // overlong
                                   {"\xe0\x80\xaf", 0, 3},      // overlong
                                   {"\xed\xa0\x80", 0, 3},      // surrogate
                                   {"\xf4\x90\x80\x80", 0, 4},  // above U+10FFFF
                                   {"12345678\xe2\x82", 8, 2},  // cut off
                                   {"\xff\xfeok", 0, 2}};
  for (const Case& c : cases) {
    REQUIRE(valid_utf8_prefix(c.bytes) == c.valid);
    REQUIRE(invalid_utf8_prefix(std::string_view(c.bytes).substr(c.valid)) == c.invalid_after);
  }
}

TEST_CASE("the byte-level alphabet goes there and back", "[unit]") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  REQUIRE(to_byte_level(" a\n") == "\u0120a\u010a");
  REQUIRE(from_byte_level(to_byte_level(all)) == all);
  REQUIRE(!from_byte_level("\u2581x"));
}

}  // namespace retrace::data
