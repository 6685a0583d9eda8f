// RULER's generators against files made by the reference implementation (ruler_goldens.json: NVIDIA/RULER at
// commit c3f5e3b4f87f97e048793bb510a3a6b19a46bf3a, word lists of wonderwords 3.0.1, numpy 2.4, seed 42, base
// template, and a tokenizer with the rule of ToyTokenizer in place of its own). Remake:
// tests/eval/make_ruler_goldens.py REFERENCE WORDS.
#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "eval/tasks/registry.h"
#include "eval/tasks/ruler.h"
#include "tests/eval/testing.h"

using namespace retrace;
using namespace retrace::eval;
using namespace retrace::eval::testing;

namespace {

EvalConfig ruler_config() {
  EvalConfig config;
  config.ruler_words = (data_folder() / "ruler").string();
  return config;
}

std::unique_ptr<EvalTask> make(const std::string& name, int64_t length) {
  if (name == "vt") return make_variable_tracking(length);
  if (name == "cwe") return make_common_words(length);
  return make_niah(name, length);
}

void compare_with_goldens(const std::string& name, int64_t length) {
  const std::string path = std::string(RETRACE_SOURCE_DIR) + "/tests/eval/ruler_goldens.json";
  const Json all = parse_json(read_file(path), path);
  const Json goldens = get<Json>(all, (name + "-" + std::to_string(length)).c_str(), path);
  EvalConfig config = ruler_config();
  config.ruler_samples = static_cast<int64_t>(goldens.size());
  const Prepared prepared = make(name, length)->prepare({config, std::make_shared<ToyTokenizer>()});
  REQUIRE(prepared.items.size() == goldens.size());
  for (size_t i = 0; i < goldens.size(); ++i) {
    INFO(name << " " << length << " sample " << i);
    REQUIRE(prepared.items[i].doc["outputs"] == goldens[i][2]);
    REQUIRE(prepared.items[i].doc["length"] == goldens[i][1]);
    REQUIRE(sha256_hex(prepared.items[i].prompt).substr(0, 16) == goldens[i][0].get<std::string>());
  }
}

}  // namespace

TEST_CASE("RULER needle prompts are the reference's, byte for byte", "[unit]") {
  need("ruler/nounlist.txt");
  for (const int64_t length : {1024, 4096, 16384}) compare_with_goldens("niah_single_1", length);
}

TEST_CASE("RULER variable tracking prompts are the reference's, byte for byte", "[unit]") {
  for (const int64_t length : {1024, 4096, 16384}) compare_with_goldens("vt", length);
}

TEST_CASE("RULER common words prompts are the reference's, byte for byte", "[unit]") {
  need("ruler/nounlist.txt");
  for (const int64_t length : {1024, 4096, 16384}) compare_with_goldens("cwe", length);
}

TEST_CASE("the word pairs of the needles are the sorted set of all pairs", "[unit]") {
  const WordPairs small({"well", "a", "well-made", "b", "a"}, {"x", "made-x", "c"});
  std::vector<std::string> all;
  for (const std::string a : {"well", "a", "well-made", "b"})
    for (const std::string n : {"x", "made-x", "c"}) all.push_back(a + "-" + n);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  REQUIRE(small.size() == all.size());
  for (size_t i = 0; i < all.size(); ++i) REQUIRE(small.at(i) == all[i]);

  need("ruler/nounlist.txt");
  const WordPairs pairs(read_words(data_folder() / "ruler/adjectivelist.txt"),
                        read_words(data_folder() / "ruler/nounlist.txt"));
  REQUIRE(pairs.size() == 6171620);
  for (size_t i = 0; i + 1 < pairs.size(); i += 49999) REQUIRE(pairs.at(i) < pairs.at(i + 1));
}

TEST_CASE("RULER scores the share of references found, whatever their case", "[unit]") {
  const auto task = make_variable_tracking(4096);
  Item item;
  item.doc = {{"outputs", {"ABCDE", "FGHIJ", "KLMNO", "PQRST"}}};
  auto value = [&](const std::string& text) { return task->score(item, {{text, 0}}, nullptr)[0].values[0]; };
  REQUIRE(value("abcde fghij klmno pqrst").value == 1);
  REQUIRE(value("ABCDE, and FGHIJ").value == 0.5);
  REQUIRE(value("nothing").value == 0);
  REQUIRE(value("x").metric == "4096");
  REQUIRE_FALSE(task->score(item, {{" \x01 \n", 0}}, nullptr)[0].parsed);
}

TEST_CASE("the essay haystack holds its needle and fits; a needle without essays is an error", "[unit]") {
  need("ruler/nounlist.txt");
  TempFolder folder;
  std::string essay;
  for (int i = 0; i < 400; ++i)
    essay += fmt::format("This is sentence {} of Mr. Smith.  Is it so? \"Yes!\" he said.\n", i);
  write_file(folder / "essay.txt", essay);
  EvalConfig config = ruler_config();
  config.ruler_samples = 3;
  const auto tokenizer = std::make_shared<ToyTokenizer>();
  REQUIRE(error_of([&] {
            make_niah("niah_single_2", 4096)->prepare({config, tokenizer});
          }).code() == Code::input);
  config.ruler_essays = (folder / "essay.txt").string();
  for (const std::string name : {"niah_single_2", "niah_single_3"}) {
    const Prepared prepared = make_niah(name, 4096)->prepare({config, tokenizer});
    for (const auto& item : prepared.items) {
      const auto answer = item.doc["outputs"][0].get<std::string>();
      REQUIRE(item.prompt.find(" is: " + answer + ".") != std::string::npos);
      REQUIRE(answer.size() == (name == "niah_single_2" ? 7u : 36u));
      const auto length = static_cast<int64_t>(tokenizer->encode(item.prompt).size()) + 128;
      REQUIRE(length <= 4096);
      REQUIRE(length > 4096 - 200);
    }
  }
}

TEST_CASE("sentences keep abbreviations, initials and closing quotes together", "[unit]") {
  REQUIRE(split_sentences("Mr. Smith met J. Doe. \"Go!\" he said. It ended.") ==
          std::vector<std::string>{"Mr. Smith met J. Doe.", "\"Go!\" he said.", "It ended."});
  REQUIRE(split_sentences("3.14 is pi. no capital") == std::vector<std::string>{"3.14 is pi. no capital"});
  REQUIRE(split_sentences("").empty());
}

TEST_CASE("a length into which no prompt fits is an error, not an endless loop", "[unit]") {
  EvalConfig config;
  const auto tokenizer = std::make_shared<ToyTokenizer>();
  const Error error = error_of([&] { make_variable_tracking(256)->prepare({config, tokenizer}); });
  REQUIRE(error.code() == Code::recipe);
  REQUIRE(error.where() == "eval.lengths");
}
