// core/text.h, core/checked.h, core/hash.h, core/random.h.
#include "core/text.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "core/checked.h"
#include "core/hash.h"
#include "core/random.h"
#include "tests/core/testing.h"

using namespace retrace;
using retrace::testing::error_of;

TEST_CASE("text: splitting and trimming", "[unit]") {
  using Views = std::vector<std::string_view>;
  REQUIRE(split_lines("a\n\nb") == Views{"a", "", "b"});
  REQUIRE(split_lines("a\r\n") == Views{"a\r"});
  REQUIRE(split_lines("").empty());
  REQUIRE(split_lines("\n") == Views{""});
  REQUIRE(split("a,,b", ',') == Views{"a", "", "b"});
  REQUIRE(split("", ',') == Views{""});
  REQUIRE(trim(" \t a b\n") == "a b");
  REQUIRE(trim(" \n").empty());
  REQUIRE(join({"a", "b"}, ", ") == "a, b");
  REQUIRE(replace_all("aaa", "aa", "b") == "ba");
  REQUIRE(to_lower("AbZ9\xC3\x84") == "abz9\xC3\x84");
  REQUIRE(html_escape("<a b=\"c\" d='&'>") == "&lt;a b=&quot;c&quot; d=&#39;&amp;&#39;&gt;");
}

TEST_CASE("text: UTF-8 is judged as RFC 3629 does", "[unit]") {
  for (const char* good :
       {"", "abc", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xF4\x8F\xBF\xBF", "\xC2\x80", "\xE0\xA0\x80", "\xF0\x90\x80\x80"})
    REQUIRE(is_valid_utf8(good));
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82", "a\xE2\x82g"})
    REQUIRE_FALSE(is_valid_utf8(bad));
  const std::string mark = "\xEF\xBF\xBD";
  // Expected values from Python: bytes.decode("utf-8", "replace").
  REQUIRE(utf8_lossy("a\xFF"
                     "b") == "a" + mark + "b");
  REQUIRE(utf8_lossy("\xE2\x82") == mark);
  REQUIRE(utf8_lossy("\xE2\x82(") == mark + "(");
  REQUIRE(utf8_lossy("\xED\xA0\x80") == mark + mark + mark);
  REQUIRE(utf8_lossy("\xF0\x9F\x98") == mark);
  REQUIRE(utf8_lossy("\xC0\xAF") == mark + mark);
  REQUIRE(utf8_lossy("\xF4\x90\x80\x80") == mark + mark + mark + mark);
}

TEST_CASE("text: shorten counts code points and never splits one", "[unit]") {
  REQUIRE(shorten("hello", 5) == "hello");
  REQUIRE(shorten("hello!", 5) == "he...");
  REQUIRE(shorten("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 4) == "\xC3\xA9...");
  REQUIRE(shorten("abcd", 2) == "..");
  REQUIRE(shorten("abcd", 0).empty());
  REQUIRE(shorten("", 3).empty());
}

TEST_CASE("text: the nearest word is near", "[unit]") {
  REQUIRE(edit_distance("kitten", "sitting") == 3);
  REQUIRE(edit_distance("ab", "ba") == 1);
  REQUIRE(edit_distance("", "abc") == 3);
  REQUIRE(nearest_word("trian", {"train", "eval"}) == "train");
  REQUIRE(nearest_word("Train", {"train", "eval"}) == "train");
  REQUIRE(nearest_word("frobnicate", {"train", "eval"}).empty());
  REQUIRE(nearest_word("x", {}).empty());
}

TEST_CASE("checked: sizes that overflow are corrupt input", "[unit]") {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  REQUIRE(checked_add<uint64_t>(kMax - 1, 1, "x") == kMax);
  REQUIRE(checked_mul<int64_t>(1 << 20, 1 << 20, "x") == int64_t{1} << 40);
  const Error error = error_of([&] { checked_mul<uint64_t>(kMax, 2, "bytes of tensor 'w'"); });
  REQUIRE(error.code() == Code::corrupt);
  REQUIRE(error.message().find("bytes of tensor 'w'") != std::string::npos);
  REQUIRE_THROWS_AS(checked_add<uint64_t>(kMax, 1, "x"), Error);
  REQUIRE_THROWS_AS(checked_mul<int64_t>(std::numeric_limits<int64_t>::min(), -1, "x"), Error);
  REQUIRE(checked_cast<uint32_t>(int64_t{5}, "x") == 5);
  REQUIRE_THROWS_AS((checked_cast<uint32_t>(int64_t{-1}, "x")), Error);
  REQUIRE_THROWS_AS((checked_cast<int32_t>(uint64_t{1} << 31, "x")), Error);
}

TEST_CASE("hash: known answers", "[unit]") {
  // FIPS 180-2, and the values of xxhash's own library for the empty text.
  REQUIRE(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  REQUIRE(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  hash.add("a");
  hash.add("");
  hash.add("bc");
  REQUIRE(hash.hex() == sha256_hex("abc"));
  REQUIRE(xxh3_64("") == 0x2D06800538D394C2ULL);
  REQUIRE(xxh3_64("a", 1) != xxh3_64("a", 2));
}

TEST_CASE("random: a value depends on seed, stream and index only", "[unit]") {
  REQUIRE(mix64(0) == 0);
  // First output of SplitMix64 with seed 0: the finaliser of the golden increment.
  REQUIRE(mix64(0x9E3779B97F4A7C15ULL) == 0xE220A8397B1DCDAFULL);
  Random a(1, stream_id("x"));
  const uint64_t first = a.next(), second = a.next();
  REQUIRE(first == random_u64(1, stream_id("x"), 0));
  REQUIRE(second == random_u64(1, stream_id("x"), 1));
  REQUIRE(random_u64(1, 2, 3) != random_u64(2, 1, 3));
  REQUIRE(random_u64(1, 2, 3) != random_u64(1, 3, 2));
  REQUIRE(stream_id("x") != stream_id("y"));
}

TEST_CASE("random: the first draws never change", "[unit]") {
  // Golden: other values would make every packed and mixed data set another one.
  REQUIRE(random_u64(42, 7, 0) == 0xE0658B4D384C699AULL);
  REQUIRE(permutation(8, 42, 7) == std::vector<uint32_t>{6, 7, 4, 1, 5, 3, 0, 2});
}

TEST_CASE("random: draws are uniform and normal", "[unit]") {
  Random random(3, 9);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[random.below(7)];
  for (int count : counts) REQUIRE(std::abs(count - 10'000) < 500);
  double sum = 0, squares = 0, lowest = 1, highest = 0;
  for (int i = 0; i < 50'000; ++i) {
    const double u = random.uniform(), n = random.normal();
    lowest = std::min(lowest, u);
    highest = std::max(highest, u);
    sum += n;
    squares += n * n;
  }
  REQUIRE(lowest >= 0);
  REQUIRE(lowest < 0.001);
  REQUIRE(highest < 1);
  REQUIRE(highest > 0.999);
  REQUIRE(std::abs(sum / 50'000) < 0.02);
  REQUIRE(std::abs(squares / 50'000 - 1) < 0.03);
  REQUIRE(error_of([&] { random.below(0); }).code() == Code::internal);
}

TEST_CASE("random: permutations hold each number once, and all orders occur", "[unit]") {
  auto order = permutation(1000, 5, 1);
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < 1000; ++i) REQUIRE(order[i] == i);
  std::vector<std::vector<uint32_t>> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) seen.push_back(permutation(3, seed, 0));
  std::sort(seen.begin(), seen.end());
  REQUIRE(std::unique(seen.begin(), seen.end()) - seen.begin() == 6);
  REQUIRE(permutation(0, 1, 1).empty());
}
