#include "eval/predictions/requests.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "data/benchmarks/benchmark_files.h"
#include "eval/scoring/count_words.h"
#include "tests/eval/testing.h"

using namespace retrace;
using namespace retrace::eval;
using namespace retrace::eval::testing;

TEST_CASE("a prompt gets one BOS, never two, and none if it is switched off or unknown", "[unit]") {
  const ByteTokenizer with, without(false);
  REQUIRE(prompt_ids("ab", with, true, 100).ids == std::vector<int32_t>{256, 'a', 'b'});
  REQUIRE(prompt_ids("ab", with, false, 100).ids == std::vector<int32_t>{'a', 'b'});
  REQUIRE(prompt_ids("<s>ab", with, true, 100).ids == std::vector<int32_t>{256, 'a', 'b'});
  REQUIRE(prompt_ids("<s>ab", with, false, 100).ids == std::vector<int32_t>{256, 'a', 'b'});
  REQUIRE(prompt_ids("ab", without, true, 100).ids == std::vector<int32_t>{'a', 'b'});
  REQUIRE(prompt_ids("ab", with, true, 100).bos);
  REQUIRE_FALSE(prompt_ids("ab", without, true, 100).bos);
}

TEST_CASE("a prompt that is too long loses its beginning, BOS included, and says how much", "[unit]") {
  const ByteTokenizer tokenizer;
  const PromptIds cut = prompt_ids("abcdef", tokenizer, true, 4);
  REQUIRE(cut.ids == std::vector<int32_t>{'c', 'd', 'e', 'f'});
  REQUIRE(cut.dropped == 3);
  REQUIRE_FALSE(cut.bos);
  REQUIRE(prompt_ids("abc", tokenizer, true, 4).dropped == 0);
  REQUIRE(error_of([&] { prompt_ids("abc", tokenizer, true, 0); }).code() == Code::recipe);
}

TEST_CASE("stop strings cut the text at the first place of each, in their order", "[unit]") {
  REQUIRE(cut_at_stops("a\ndef b\nclass c", {"\nclass", "\ndef"}) == "a");
  REQUIRE(cut_at_stops("a stop b", {"stop"}) == "a ");
  REQUIRE(cut_at_stops("nothing", {"", "x"}) == "nothing");
  REQUIRE(cut_at_stops("#", {"#"}).empty());
}

TEST_CASE("generation ends at a stop string, at EOS or at the limit, and says which", "[unit]") {
  const ByteTokenizer tokenizer;
  std::string told;
  SayingEngine engine([&](const std::string& prompt) {
    told = prompt;
    return std::string("    return 1\ndef other():\n    pass");
  });
  RequestSettings settings;
  settings.max_length = 1000;
  settings.until = {"\nclass", "\ndef"};
  Reply reply = generate_reply(engine, tokenizer, "def f():\n", settings);
  REQUIRE(told == "def f():\n");
  REQUIRE(reply.answer.text == "    return 1");
  REQUIRE(reply.finish == "stop");
  REQUIRE(reply.new_tokens == 16);  // up to and with the stop string, no further
  REQUIRE(reply.prompt_tokens == 10);

  settings.until = {"never"};
  reply = generate_reply(engine, tokenizer, "x", settings);
  REQUIRE(reply.finish == "eos");
  settings.max_gen_tokens = 5;
  reply = generate_reply(engine, tokenizer, "x", settings);
  REQUIRE(reply.finish == "length");
  REQUIRE(reply.answer.text == "    r");

  settings.max_length = 8;
  reply = generate_reply(engine, tokenizer, "0123456789", settings);
  REQUIRE(engine.last_prompt == std::vector<int32_t>{'7', '8', '9'});
  REQUIRE(reply.dropped_tokens == 8);
}

TEST_CASE("the EOS string in an answer is a stop string too", "[unit]") {
  const ByteTokenizer tokenizer;
  SayingEngine engine([](const std::string&) { return std::string("done</s>more"); });
  RequestSettings settings;
  settings.max_length = 1000;
  REQUIRE(generate_reply(engine, tokenizer, "x", settings).answer.text == "done");
}

TEST_CASE("a document is scored whole, in disjoint windows, after one prefix token", "[unit]") {
  const ByteTokenizer tokenizer;
  SayingEngine engine([](const std::string&) { return std::string(); }, 4);
  const Reply reply = score_reply(engine, tokenizer, "abcdefghij", 4);
  REQUIRE(reply.prompt_tokens == 10);
  REQUIRE(std::abs(reply.answer.loglikelihood + 10 * std::log(258.0)) < 1e-4);
  REQUIRE(engine.windows.size() == 3);
  REQUIRE(engine.windows[0] == std::vector<int32_t>{256, 'a', 'b', 'c', 'd'});
  REQUIRE(score_reply(engine, tokenizer, "", 4).answer.loglikelihood == 0);
}

TEST_CASE("words are counted as Python's re.split(r'\\s+') does", "[unit]") {
  // python3 -c "import re; print(len(re.split(r'\s+', TEXT)))"
  REQUIRE(count_words("") == 1);
  REQUIRE(count_words("one") == 1);
  REQUIRE(count_words(" one  two\n") == 4);
  REQUIRE(count_words("a\xC2\xA0"
                      "b\xE3\x80\x80"
                      "c\x1c"
                      "d") == 4);
  REQUIRE(count_words("a\xE2\x80\x8B"
                      "b") == 1);
}
