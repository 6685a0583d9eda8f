#include <catch2/catch_test_macros.hpp>
#include <map>

#include "core/files/files.h"
#include "core/json.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/pretokenizer.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

// Training by its definition: count all pairs anew for every merge.
std::vector<std::string> merges_by_definition(const std::string& text, size_t count) {
  struct Collect : PieceSink {
    void piece(std::string_view bytes) override {
      std::vector<TokenId> word;
      for (unsigned char byte : bytes) word.push_back(byte);
      words.push_back(word);
    }
    std::vector<std::vector<TokenId>> words;
  } collect;
  PreTokenizer({kLlama3Pattern}).split(text, collect);
  std::vector<std::string> tokens, merges;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  while (merges.size() < count) {
    std::map<std::pair<TokenId, TokenId>, int64_t> counts;
    for (const auto& word : collect.words)
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    auto best = counts.begin();
    for (auto at = counts.begin(); at != counts.end(); ++at)
      if (at->second > best->second) best = at;
    const auto [left, right] = best->first;
    const auto result = static_cast<TokenId>(tokens.size());
    merges.push_back(to_byte_level(tokens[static_cast<size_t>(left)]) + " " +
                     to_byte_level(tokens[static_cast<size_t>(right)]));
    tokens.push_back(tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)]);
    for (auto& word : collect.words)
      for (size_t i = 0; i + 1 < word.size(); ++i)
        if (word[i] == left && word[i + 1] == right) {
          word[i] = result;
          word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
  }
  return merges;
}

}  // namespace

TEST_CASE("training merges what its definition merges, ties by the smaller pair", "[unit]") {
  const TempFolder folder;
  const std::string text = sample_code().substr(0, 6000) + "aaaaaaa aaaa aaa bababab ababa";
  train_byte_bpe({text}, 256 + 120, {}, folder.path());
  const Json json = parse_json(read_file(folder / "tokenizer.json"), "");
  REQUIRE(json.at("model").at("merges").get<std::vector<std::string>>() == merges_by_definition(text, 120));
}

TEST_CASE("training is a function of the texts, and says when they give too little", "[unit]") {
  const TempFolder a, b, small;
  train_byte_bpe({sample_code()}, 400, {"<s>"}, a.path());
  train_byte_bpe({sample_code()}, 400, {"<s>"}, b.path());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
    REQUIRE(read_file(a / name) == read_file(b / name));
  train_byte_bpe({"abab"}, 400, {"<s>"}, small.path());
  REQUIRE(load_tokenizer(small.path())->vocab_size() == 256 + 2 + 1);
  REQUIRE(load_tokenizer(small.path())->encode("abab").size() == 1);
  REQUIRE(error_of([&] { train_byte_bpe({"x"}, 256, {"<s>"}, a.path()); }).code() == Code::recipe);
  REQUIRE(error_of([&] { train_byte_bpe({""}, 400, {}, a.path()); }).code() == Code::input);
  REQUIRE(error_of([&] { train_byte_bpe({"x"}, 400, {"<s>", "<s>"}, a.path()); }).code() == Code::recipe);
}

}  // namespace retrace::data
