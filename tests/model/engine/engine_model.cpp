// The engine as a LanguageModel against the engine itself: the same ids, bits and stops.
#include "model/engine/engine_model.h"

#include <catch2/catch_test_macros.hpp>

#include "model/engine/rolling.h"
#include "model/files/weights.h"
#include "tests/model/flat_source.h"
#include "tests/model/letter_tokenizer.h"
#include "tests/model/llama_testing.h"
#include "tests/shared.h"

using namespace retrace;
using namespace retrace::model;
using namespace retrace::model::testing;
using retrace::tests::error_of;
using Ids = std::vector<int32_t>;

namespace {

std::unique_ptr<Engine> tiny_engine() {
  const FlatModel random = random_model(tiny_config(4, 2), 7, 0.3);
  FlatSource source(random);
  return make_engine(random.config, source, {});
}

const auto kLetters = std::make_shared<LetterTokenizer>();

double sum(const std::vector<float>& logprobs) {
  double nats = 0;
  for (const float logprob : logprobs) nats += logprob;
  return nats;
}

Ids with_bos(const std::string& text) {
  Ids ids = kLetters->encode(text);
  ids.insert(ids.begin(), *kLetters->bos());
  return ids;
}

std::string plain_text(Engine& engine, const Ids& prompt, int64_t count, double temperature = 0,
                       uint64_t seed = 0) {
  GenerateOptions options;
  options.max_tokens = count;
  options.temperature = temperature;
  options.seed = seed;
  options.stop_tokens = {60};
  return kLetters->decode(engine.generate(prompt, options), true);
}

}  // namespace

TEST_CASE("engine model: a batch's texts are what the engine generates one by one", "[unit]") {
  const auto engine = tiny_engine();
  EngineModel model(*engine, kLetters);
  std::vector<GenerateRequest> requests;
  for (const char* prompt : {"A", "Hello world", "abcabc", ""}) requests.push_back({prompt, {}, 9, 0, 1, 0});
  requests.push_back({"Hello", {}, 9, 0.9, 1, 5});
  const auto texts = model.generate_until(requests);
  REQUIRE(texts.size() == requests.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const GenerateRequest& r = requests[i];
    REQUIRE(texts[i].text == plain_text(*engine, with_bos(r.prompt), r.max_tokens, r.temperature, r.seed));
    REQUIRE(texts[i].prompt_tokens == static_cast<int64_t>(r.prompt.size()) + 1);
    REQUIRE(texts[i].dropped_tokens == 0);
    REQUIRE(texts[i].finish == (texts[i].new_tokens < 9 ? "eos" : "length"));
  }
}

TEST_CASE("engine model: a text ends before its stop string, and nothing is decoded past it", "[unit]") {
  const auto engine = tiny_engine();
  EngineModel model(*engine, kLetters);
  const std::string whole = plain_text(*engine, with_bos("Hello"), 20);
  REQUIRE(whole.size() > 6);
  const std::string stop = whole.substr(4, 2);
  const GeneratedText text = model.generate_until({{"Hello", {"", stop}, 20, 0, 1, 0}})[0];
  REQUIRE(text.text == whole.substr(0, whole.find(stop)));
  REQUIRE(text.finish == "stop");
  REQUIRE(text.new_tokens == static_cast<int64_t>(whole.find(stop) + stop.size()));
}

TEST_CASE("engine model: a prompt that is too long loses its beginning", "[unit]") {
  const auto engine = tiny_engine();
  EngineModel model(*engine, kLetters, {8, true, "float32"});
  const GeneratedText text = model.generate_until({{"abcdefgh", {}, 5, 0, 1, 0}})[0];
  REQUIRE(text.text == plain_text(*engine, kLetters->encode("fgh"), 5));
  REQUIRE(text.prompt_tokens == 3);
  REQUIRE(text.dropped_tokens == 6);
  REQUIRE(error_of([&] { model.generate_until({{"a", {}, 8, 0, 1, 0}}); }).code() == Code::recipe);
  EngineModel bare(*engine, kLetters, {8, false, "float32"});
  REQUIRE(error_of([&] { bare.generate_until({{"", {}, 5, 0, 1, 0}}); }).code() == Code::input);
}

TEST_CASE("engine model: a continuation's log-likelihood is the sum of its log-probabilities", "[unit]") {
  const auto engine = tiny_engine();
  EngineModel model(*engine, kLetters);
  const auto found =
      model.loglikelihood({{"Hello ", "world"}, {"Hello", " world"}, {"", "abc"}, {"  ", "abc"}, {"a", ""}});
  const double expected = sum(engine->logprobs(with_bos("Hello world"), 6));
  REQUIRE(found[0].nats == expected);
  REQUIRE(found[0].tokens == 6);  // the blank at the context's end belongs to the continuation
  REQUIRE(found[1].nats == expected);
  REQUIRE(found[2].nats == sum(engine->logprobs(with_bos("abc"), 1)));
  REQUIRE(found[2].tokens == 3);
  REQUIRE(found[3].nats == sum(engine->logprobs(with_bos("  abc"), 1)));
  REQUIRE(found[4].nats == 0);
  REQUIRE(found[4].tokens == 0);

  const LetterTokenizer no_bos(false), neither(false, false);
  Ids after_eos = kLetters->encode("abc");
  after_eos.insert(after_eos.begin(), 60);
  EngineModel eos_model(*engine, std::make_shared<LetterTokenizer>(no_bos));
  REQUIRE(eos_model.loglikelihood({{"", "abc"}})[0].nats == sum(engine->logprobs(after_eos, 1)));
  EngineModel lost(*engine, std::make_shared<LetterTokenizer>(neither));
  REQUIRE(error_of([&] { lost.loglikelihood({{"", "abc"}}); }).code() == Code::input);
  REQUIRE(error_of([&] { lost.loglikelihood_rolling({{"abc"}}); }).code() == Code::input);
}

TEST_CASE("engine model: what is greedy is what the engine would write", "[unit]") {
  const auto engine = tiny_engine();
  EngineModel model(*engine, kLetters, {0, true, "float32"});
  GenerateOptions options;
  options.max_tokens = 1;
  std::string context = "Hello", greedy;
  while (greedy.size() < 3) {  // letters only: other tokens have no text of one character
    const Ids next = engine->generate(with_bos(context + greedy), options);
    if (next[0] >= 58)
      context += "x", greedy.clear();
    else
      greedy += kLetters->decode(next, false);
  }
  const std::string other = greedy.substr(0, 2) + (greedy[2] == 'q' ? "r" : "q");
  const auto found =
      model.loglikelihood({{context, greedy}, {context, other}, {context, greedy.substr(0, 1)}});
  REQUIRE(found[0].is_greedy == true);
  REQUIRE(found[1].is_greedy == false);
  REQUIRE(found[2].is_greedy == true);
  REQUIRE(found[0].nats > found[1].nats);
}

TEST_CASE("engine model: context and continuation keep their last max_length + 1 tokens", "[unit]") {
  const auto engine = tiny_engine();
  EngineModel model(*engine, kLetters, {4, true, "float32"});
  const auto found = model.loglikelihood({{"abcdef", "gh"}, {"", "abcd"}});
  REQUIRE(found[0].nats == sum(engine->logprobs(kLetters->encode("defgh"), 3)));
  REQUIRE(found[0].dropped_tokens == 4);
  REQUIRE(found[1].dropped_tokens == 0);
  REQUIRE(error_of([&] { model.loglikelihood({{"a", "abcde"}}); }).code() == Code::input);
}

TEST_CASE("engine model: a long text is scored in rolling windows", "[unit]") {
  const auto engine = tiny_engine();
  EngineModel model(*engine, kLetters, {4, true, "float32"});
  const auto found = model.loglikelihood_rolling({{"abcdefghij"}, {""}});
  REQUIRE(found[0].nats == sum(rolling_logprobs(*engine, with_bos("abcdefghij"), 4)));
  REQUIRE(found[0].tokens == 10);
  REQUIRE_FALSE(found[0].is_greedy.has_value());
  REQUIRE(found[1].nats == 0);
  REQUIRE(model.capabilities().max_length == 4);
  REQUIRE(model.capabilities().knows_greedy);
  REQUIRE(model.identity() == "engine/" + engine->fingerprint() + "/letters-0123/float32");
}
