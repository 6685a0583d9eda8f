// Reading tokenizers: Llama-3's file, HF folders, SentencePiece models, and files that are none of these.
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "core/files/files.h"
#include "core/json.h"
#include "data/config.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;
using Ids = std::vector<TokenId>;

void require_round_trips(const Tokenizer& tokenizer, uint64_t seed) {
  Random random(seed, 4);
  std::vector<std::string> inputs = hard_strings();
  inputs.push_back(sample_code());
  for (int i = 0; i < 200; ++i) {
    inputs.push_back(random_bytes(random, random.below(80)));
    inputs.push_back(random_unicode(random, random.below(80)));
  }
  std::set<TokenId> special;
  for (const std::string& name : TokenizerConfig{}.special)
    if (auto id = tokenizer.special(name)) special.insert(*id);
  REQUIRE(!special.empty());
  for (const std::string& input : inputs) {
    const Ids ids = tokenizer.encode(input);
    REQUIRE(tokenizer.decode(ids) == input);
    for (TokenId id : ids) REQUIRE(special.count(id) == 0);
  }
}

Json trained_json(const fs::path& folder) {
  small_tokenizer(folder, 300);
  return parse_json(read_file(folder / "tokenizer.json"), "tokenizer.json");
}

}  // namespace

TEST_CASE("Llama-3's tokenizer.model gives tiktoken's ids", "[unit]") {
  const auto file = data_file("llama3/tokenizer.model");
  if (!file) SKIP("needs llama3/tokenizer.model in RETRACE_TEST_DATA or ../shared/data");
  const auto tokenizer = load_tokenizer(*file);
  REQUIRE(tokenizer->vocab_size() == 128256);
  REQUIRE(tokenizer->bos() == 128000);
  REQUIRE(tokenizer->eos() == 128001);
  REQUIRE(tokenizer->special("<|start_header_id|>") == 128006);
  REQUIRE(tokenizer->special("<|end_header_id|>") == 128007);
  REQUIRE(tokenizer->special("<|reserved_special_token_4|>") == 128008);
  REQUIRE(tokenizer->special("<|eot_id|>") == 128009);
  REQUIRE(tokenizer->special("<|reserved_special_token_250|>") == 128255);
  REQUIRE(!tokenizer->special("<|reserved_special_token_251|>"));
  // Made with tiktoken 0.14.0: Encoding(pat_str=the Llama-3 pattern, mergeable_ranks=the
  // file).encode_ordinary(text); tests/peers/test_tokenizers.py compares again, on more text.
  const std::vector<std::pair<std::string, Ids>> golden = {
      {"Hello, world!", {9906, 11, 1917, 0}},
      {"def f(x):\n    return x ** 2  # squared\n\n\n",
       {755, 282, 2120, 997, 262, 471, 865, 3146, 220, 17, 220, 674, 53363, 1432}},
      {"int main() { printf(\"%d\\n\", 1234567); }\t\r\n",
       {396, 1925, 368, 314, 4192, 4530, 67, 1734, 498, 220, 4513, 10961, 22, 1237, 335, 4574}},
      {"don't WE'LL you\u2019ve \u017f's I'\u017f",
       {15357, 956, 20255, 6, 4178, 499, 4070, 27006, 123, 596, 358, 6, 129, 123}},
      {"na\u00efve caf\u00e9 \u4f60\u597d\uff0c\u4e16\u754c \U0001f469\u200d\U0001f4bb \u0915\u094d\u0937",
       {3458, 38672, 588, 53050, 118195, 53901, 3922, 102616, 62904, 102, 102470, 93273, 119, 48909, 100580}},
      {"\u00a0\u180e\u2003x\u3000y \u0085z", {4194, 157, 254, 236, 116503, 87, 23249, 88, 220, 116360, 89}},
      {"<|begin_of_text|><|eot_id|>", {27, 91, 7413, 3659, 4424, 91, 1822, 91, 68, 354, 851, 91, 29}},
      {std::string(100, ' ') + "x" + std::string(200, '='), {5351, 1961, 865, 8315, 8315, 8315, 895}},
      {"\u0661\u0662\u0663\u0664 \u216b \u00bd 12345678901",
       {109610, 110546, 117413, 124079, 220, 71567, 104, 220, 27154, 220, 4513, 10961, 16474, 1721}}};
  for (const auto& [text, ids] : golden) REQUIRE(tokenizer->encode(text) == ids);
  REQUIRE(tokenizer->decode({128000, 9906, 128009}) == "<|begin_of_text|>Hello<|eot_id|>");
  REQUIRE(tokenizer->decode({128000, 9906, 128009}, true) == "Hello");
  REQUIRE(error_of([&] { tokenizer->decode({128256}); }).code() == Code::input);
  REQUIRE(error_of([&] { tokenizer->decode({-1}); }).code() == Code::input);
  require_round_trips(*tokenizer, 1);
}

TEST_CASE("a trained HF folder reads back, round trips, and knows its roles", "[unit]") {
  const TempFolder folder;
  const auto tokenizer = small_tokenizer(folder.path());
  REQUIRE(tokenizer->vocab_size() == 600);
  REQUIRE(tokenizer->bos() == 594);
  REQUIRE(tokenizer->special("<|pad|>") == 599);
  REQUIRE(tokenizer->eos() == tokenizer->special("<|end_of_text|>"));
  REQUIRE(tokenizer->fingerprint() == load_tokenizer(folder / "tokenizer.json")->fingerprint());
  REQUIRE(tokenizer->encode(sample_code()).size() < sample_code().size() / 2);
  require_round_trips(*tokenizer, 2);
}

TEST_CASE("equal tokenizers have equal fingerprints, others do not", "[unit]") {
  const TempFolder a, b, c;
  REQUIRE(small_tokenizer(a.path())->fingerprint() == small_tokenizer(b.path())->fingerprint());
  REQUIRE(small_tokenizer(a.path())->fingerprint() != small_tokenizer(c.path(), 601)->fingerprint());
  Json config = parse_json(read_file(b / "tokenizer_config.json"), "");
  config["bos_token"] = nullptr;
  write_file(b / "tokenizer_config.json", to_text(config));
  REQUIRE(!load_tokenizer(b.path())->bos());
  REQUIRE(load_tokenizer(b.path())->fingerprint() != load_tokenizer(a.path())->fingerprint());
}

TEST_CASE("what tokenizer.json declares and we do not do is refused by name", "[unit]") {
  const TempFolder folder;
  const Json good = trained_json(folder.path());
  struct Case {
    const char* pointer;
    Json value;
    const char* named;
  };
  const Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Removed"}, {"invert", false}};
  const std::vector<Case> cases = {
      {"/model/type", "WordPiece", "WordPiece"},
      {"/model/dropout", 0.1, "dropout"},
      {"/model/end_of_word_suffix", "</w>", "end_of_word_suffix"},
      {"/normalizer", {{"type", "Lowercase"}}, "Lowercase"},
      {"/pre_tokenizer", {{"type", "Metaspace"}}, "Metaspace"},
      {"/pre_tokenizer", nullptr, "no pre_tokenizer"},
      {"/pre_tokenizer/pretokenizers/0", split, "Removed"},
      {"/pre_tokenizer/pretokenizers/1/add_prefix_space", true, "add_prefix_space"},
      {"/pre_tokenizer/pretokenizers/1", {{"type", "Punctuation"}}, "Punctuation"},
      {"/added_tokens/0", {{"id", 299}, {"content", "x"}, {"special", false}, {"lstrip", true}}, "lstrip"}};
  for (const Case& c : cases) {
    Json bad = good;
    bad[Json::json_pointer(c.pointer)] = c.value;
    write_file(folder / "tokenizer.json", to_text(bad));
    const Error error = error_of([&] { load_tokenizer(folder.path()); });
    INFO(c.named << ": " << error.what());
    REQUIRE(error.code() == Code::input);
    REQUIRE(error.message().find(c.named) != std::string::npos);
    REQUIRE(error.where().find("tokenizer.json") != std::string::npos);
  }
}

TEST_CASE("a damaged tokenizer file gives one clear error", "[unit]") {
  const TempFolder folder;
  const Json good = trained_json(folder.path());
  const std::string text = read_file(folder / "tokenizer.json");
  auto with = [&](const char* pointer, Json value) {
    Json bad = good;
    bad[Json::json_pointer(pointer)] = std::move(value);
    return to_text(bad);
  };
  std::string twice = text;
  twice.replace(twice.find("\"vocab\": {"), 10, "\"vocab\": {\"!\": 290, ");
  const std::vector<std::string> damaged = {text.substr(0, text.size() / 2),
                                            "{}",
                                            "{\"model\": [1]}",
                                            "[[[",
                                            with("/model/vocab", Json::object()),
                                            with("/model/vocab/a", -1),
                                            with("/model/vocab/a", 1e9),
                                            with("/model/vocab/a", 4000000000),
                                            with("/model/vocab/a", "x"),
                                            with("/model/vocab/b", 97),
                                            with("/model/merges/0", "nope nope"),
                                            with("/model/merges/0", "one"),
                                            with("/model/merges/0", Json::array({"a"})),
                                            with("/model/merges/0", 3),
                                            with("/added_tokens/0/id", -3),
                                            with("/added_tokens", 3),
                                            twice,
                                            std::string(100, '{'),
                                            "\xff\xfe\x00binary"};
  for (size_t i = 0; i < damaged.size(); ++i) {
    write_file(folder / "tokenizer.json", damaged[i]);
    const Error error = error_of([&] { load_tokenizer(folder / "tokenizer.json"); });
    INFO(i << ": " << error.what());
    REQUIRE(error.status() == 3);
    REQUIRE(std::string(error.what()).find("tokenizer.json") != std::string::npos);
  }
  REQUIRE(error_of([&] { load_tokenizer(folder / "absent"); }).code() == Code::input);
  write_file(folder / "empty/readme", "x");
  REQUIRE(error_of([&] { load_tokenizer(folder / "empty"); }).code() == Code::input);
  write_file(folder / "m.gguf", "GGUF\3\0\0\0");
  REQUIRE(error_of([&] { load_tokenizer(folder / "m.gguf"); }).hint().find("import") != std::string::npos);
  for (const char* bytes : {"IQ== 0\nIg== 5\n", "IQ== 0\nIg=x 1\n", "IQ== 0\n", "\n\x05junk", ""}) {
    write_file(folder / "tokenizer.model", bytes);
    const Error error = error_of([&] { load_tokenizer(folder / "tokenizer.model"); });
    REQUIRE(error.status() == 3);
    REQUIRE(error.where().find("tokenizer.model") != std::string::npos);
  }
}

TEST_CASE("NFC and words that are not special follow the file", "[unit]") {
  const TempFolder folder;
  Json json = trained_json(folder.path());
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"].push_back(
      {{"id", 300}, {"content", "cafe\u0301"}, {"special", false}, {"normalized", false}});
  json["added_tokens"].push_back(
      {{"id", 301}, {"content", "\u00e9t\u00e9"}, {"special", false}, {"normalized", true}});
  write_file(folder / "tokenizer.json", to_text(json));
  const auto tokenizer = load_tokenizer(folder.path());
  REQUIRE(tokenizer->vocab_size() == 302);
  REQUIRE(tokenizer->encode("cafe\u0301") == Ids{300});
  REQUIRE(tokenizer->encode("e\u0301te\u0301") == Ids{301});
  REQUIRE(tokenizer->decode(tokenizer->encode("xe\u0301\xff")) == "x\u00e9\xff");
}

TEST_CASE("SentencePiece: trained, read, exact both ways on UTF-8, deaf to control names", "[unit]") {
  for (const std::string type : {"bpe", "unigram"}) {
    const TempFolder folder;
    train_sentencepiece({sample_code()}, 420, type, TokenizerConfig{}.special, folder.path());
    const auto tokenizer = load_tokenizer(folder.path());
    REQUIRE(tokenizer->vocab_size() <= 420);
    REQUIRE(tokenizer->bos() == tokenizer->special("<|begin_of_text|>"));
    REQUIRE(tokenizer->special("<|eot_id|>").has_value());
    for (const std::string& text : hard_strings()) {
      if (text.find('\0') != std::string::npos || text.find("\u2581") != std::string::npos) continue;
      const Ids ids = tokenizer->encode(text);
      REQUIRE(tokenizer->decode(ids) == text);
      for (const std::string& name : TokenizerConfig{}.special)
        for (TokenId id : ids) REQUIRE(tokenizer->special(name) != id);
    }
    const TokenId eot = *tokenizer->special("<|eot_id|>");
    Ids ids = tokenizer->encode("a");
    ids.push_back(eot);
    REQUIRE(tokenizer->decode(ids) == "a<|eot_id|>");
    REQUIRE(tokenizer->decode(ids, true) == "a");
    REQUIRE(error_of([&] { tokenizer->decode({static_cast<TokenId>(tokenizer->vocab_size())}); }).code() ==
            Code::input);
  }
  const TempFolder folder;
  REQUIRE(error_of([&] { train_sentencepiece({}, 400, "bpe", {}, folder.path()); }).code() == Code::input);
  REQUIRE(error_of([&] { train_sentencepiece({"a"}, 400, "word", {}, folder.path()); }).code() ==
          Code::recipe);
}

}  // namespace retrace::data
