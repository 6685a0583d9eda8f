// data/tokenizer/ascii_scan.h against the regular expressions that it stands in for: the same cuts on random
// text.
#include "data/tokenizer/ascii_scan.h"

#include <catch2/catch_test_macros.hpp>

#include "core/random.h"
#include "data/tokenizer/pretokenizer.h"

using namespace retrace;
using namespace retrace::data;

namespace {

struct Pieces : PieceSink {
  void piece(std::string_view bytes) override { all.emplace_back(bytes); }
  std::vector<std::string> all;
};

std::vector<std::string> pieces_of(const PreTokenizer& cutter, const std::string& text) {
  Pieces pieces;
  cutter.split(text, pieces);
  return pieces.all;
}

std::string random_text(Random& random, bool ascii_only) {
  static const std::vector<std::string> kParts = {" ",   "  ",    "\n", "\r\n", "\t",  "\v",  "\f",   "a",
                                                  "Zed", "'s",    "'S", "'ll",  "'Re", "'",   "''",   "7",
                                                  "42",  "12345", "_",  "-->",  "{",   ");",  "\x1c", "\x7f",
                                                  ".",   "'v",    "'d", "\r",   "x1",  "\0x", "#"};
  static const std::vector<std::string> kBeyondAscii = {"\u00e9", "\u017f", "\u00a0", "\u2028",
                                                        "\u0661", "\u4f60", "\u0301"};
  std::string text;
  for (uint64_t n = random.below(12); n-- > 0;) {
    if (!ascii_only && random.below(4) == 0)
      text += kBeyondAscii[random.below(kBeyondAscii.size())];
    else
      text += kParts[random.below(kParts.size())];
  }
  return text;
}

}  // namespace

TEST_CASE("ascii scan: cuts text where the expression does", "[unit]") {
  for (const char* pattern : {kLlama3Pattern, kGpt2Pattern}) {
    const std::string same = "(?:" + std::string(pattern) + ")";  // another text, so that no scan knows it
    REQUIRE(ascii_scan_of(pattern) != nullptr);
    REQUIRE(ascii_scan_of(same) == nullptr);
    const PreTokenizer fast({pattern}), plain({same});
    Random random(11, 7);
    for (int i = 0; i < 60000; ++i) {
      const std::string text = random_text(random, i % 2 == 0);
      INFO(pattern << " on \"" << text << "\"");
      REQUIRE(pieces_of(fast, text) == pieces_of(plain, text));
    }
  }
}

TEST_CASE("ascii scan: answers itself on ASCII, and never where other characters decide", "[unit]") {
  REQUIRE(scan_llama3("return x", 0) == 6);
  REQUIRE(scan_llama3("  if", 0) == 1);
  REQUIRE(scan_llama3("\n\n  x", 0) == 2);
  REQUIRE(scan_llama3("123456", 0) == 3);
  REQUIRE(scan_llama3("caf\u00e9", 0) == 0);
  REQUIRE(scan_llama3("'\u017f", 0) == 0);
  REQUIRE(scan_llama3(" \u00a0", 0) == 0);
  REQUIRE(scan_gpt2("123456", 0) == 6);
  REQUIRE(scan_gpt2(" x\u0301", 0) == 0);
}
