// Words and shingles: the hashes are stored in ledgers and slices.json, so each rule is pinned by the words
// it means and by the formula of a shingle; XXH3's value of "abc" is that of the reference implementation
// (xxhsum -H3).
#include "synth/shingles.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "core/hash.h"
#include "synth/hygiene/band_index.h"
#include "synth/hygiene/minhash.h"
#include "tests/shared.h"

using namespace retrace;
using namespace retrace::synth;

namespace {

const std::string kText = "def Foo_bar(x1, 2y):\n\t// caf\xC3\xA9 = 12;";

std::vector<uint64_t> hashes(const std::vector<std::string>& words) {
  std::vector<uint64_t> out;
  for (const auto& word : words) out.push_back(xxh3_64(word));
  return out;
}

}  // namespace

TEST_CASE("each rule cuts a text into the words that its users were written for", "[unit]") {
  REQUIRE(xxh3_64("abc") == 0x78AF5F94892F3950ULL);
  REQUIRE(word_hashes(kText, kCodeWords) == hashes({"def", "Foo_bar", "x1", "2y", "caf", "12"}));
  REQUIRE(word_hashes(kText, kIdentifiers) == hashes({"def", "Foo_bar", "x1", "caf"}));
  REQUIRE(word_hashes(kText, kProseWords) == hashes({"def", "foo", "bar", "x1", "2y", "caf\xC3\xA9", "12"}));
  REQUIRE(word_hashes(kText, kLexicalTokens) == hashes({"def", "Foo_bar", "(", "x1", ",", "2y", ")", ":", "/",
                                                        "/", "caf\xC3\xA9", "=", "12", ";"}));
  for (const auto& rule : {kCodeWords, kIdentifiers, kProseWords, kLexicalTokens})
    REQUIRE(word_hashes("", rule).empty());
}

TEST_CASE("a shingle mixes its words from left to right, and stops when it is told", "[unit]") {
  const std::vector<uint64_t> words = hashes({"a", "b", "c", "d"});
  const auto shingle = [&](size_t at) {
    return mix64(mix64(mix64(words[at]) ^ words[at + 1]) ^ words[at + 2]);
  };
  REQUIRE(shingles_of("a b c d", kCodeWords, 3) == std::vector<uint64_t>{shingle(0), shingle(1)});
  REQUIRE(shingles_of("a b", kCodeWords, 3).empty());
  size_t seen = 0;
  REQUIRE_FALSE(each_shingle(words, 1, [&](uint64_t) { return ++seen < 2; }));
  REQUIRE(seen == 2);
}

TEST_CASE("the band index names the same in memory and in a database", "[unit]") {
  const tests::TempFolder folder;
  Database database(folder / "bands.db", Database::Mode::scratch);
  BandIndex in_memory(kDuplicateBands), in_database(kDuplicateBands, database);
  std::vector<std::string> signatures;
  for (int i = 0; i < 12; ++i) {
    std::string text;
    for (int word = 0; word < 300; ++word)
      text += "w" + std::to_string(word < 290 - 20 * i ? word : 1000 * (i + 1) + word) + " ";
    std::vector<uint64_t> shingles;
    add_shingles(text, kCodeWords, &shingles);
    signatures.push_back(pack_signature(minhash(&shingles)));
  }
  signatures.push_back("");
  bool any = false, none = false;
  for (size_t i = 0; i < signatures.size(); ++i) {
    const auto near = in_memory.sharing(signatures[i]);
    REQUIRE(near == in_database.sharing(signatures[i]));
    (near.empty() ? none : any) = true;
    in_memory.add(static_cast<int64_t>(i), signatures[i]);
    in_database.add(static_cast<int64_t>(i), signatures[i]);
    REQUIRE(in_memory.sharing(signatures[i]).count(static_cast<int64_t>(i)) ==
            (signatures[i].empty() ? 0 : 1));
  }
  REQUIRE((any && none));
}
