// The engine's scores and texts against a plain reference, over chunk sizes, prefixes and dtypes.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <thread>

#include "core/error.h"
#include "model/engine/engine.h"
#include "model/engine/generate.h"
#include "model/engine/shared_engine.h"
#include "model/files/weights.h"
#include "tests/model/flat_source.h"
#include "tests/model/llama_testing.h"

using namespace retrace;
using namespace retrace::model;
using namespace retrace::model::testing;
using Ids = std::vector<int32_t>;

namespace {

const FlatModel& tiny() {
  static const FlatModel random = random_model(tiny_config(4, 2), 7, 0.3);
  return random;
}

std::unique_ptr<Engine> engine(int64_t chunk = 2048, const std::string& dtype = "float32") {
  FlatSource source(tiny());
  EngineOptions options;
  options.prefill_chunk = chunk;
  options.dtype = dtype;
  return make_engine(tiny().config, source, options);
}

Ids some_ids(int64_t count, int64_t seed) {
  Ids ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>((seed * 31 + i * i * 7 + i * 13) % 61));
  return ids;
}

std::vector<double> expected_logprobs(const Ids& ids) {
  if (ids.size() < 2) return {};
  const at::Tensor logits = oracle_logits(tiny(), {ids.begin(), ids.end() - 1});
  const at::Tensor all = at::log_softmax(logits, -1);
  std::vector<double> result;
  for (size_t i = 1; i < ids.size(); ++i)
    result.push_back(all[static_cast<int64_t>(i) - 1][ids[i]].item<double>());
  return result;
}

Ids expected_greedy(Ids ids, int64_t count) {
  Ids made;
  for (int64_t i = 0; i < count; ++i) {
    const at::Tensor logits = oracle_logits(tiny(), {ids.begin(), ids.end()});
    ids.push_back(static_cast<int32_t>(logits[-1].argmax().item<int64_t>()));
    made.push_back(ids.back());
  }
  return made;
}

void require_near(const std::vector<float>& got, const std::vector<double>& expected, size_t offset,
                  double bound) {
  REQUIRE(got.size() + offset == expected.size());
  for (size_t i = 0; i < got.size(); ++i) REQUIRE(std::abs(got[i] - expected[i + offset]) < bound);
}

Ids joined(const Ids& a, const Ids& b) {
  Ids all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

}  // namespace

TEST_CASE("scores agree with the reference for every chunk size and start", "[unit]") {
  const Ids ids = some_ids(37, 3);
  const auto expected = expected_logprobs(ids);
  const auto e = engine(GENERATE(1, 2, 7, 36, 37, 2048));
  for (int64_t from : {1, 2, 20, 36, 37}) {
    const int64_t before = e->tokens_computed();
    require_near(e->logprobs(ids, from), expected, static_cast<size_t>(from) - 1, 1e-5);
    REQUIRE(e->tokens_computed() - before == (from == 37 ? 0 : 36));  // the last token predicts nothing
  }
}

TEST_CASE("continuations of a shared prefix score as they do alone, the prefix computed once", "[unit]") {
  const Ids prefix = some_ids(GENERATE(1, 5, 20), 5);
  const std::vector<Ids> continuations = {
      some_ids(9, 1), {}, some_ids(1, 2), some_ids(30, 3), some_ids(4, 4)};
  const auto e = engine(GENERATE(1, 6, 12, 2048));
  const auto scores = e->logprobs_after(prefix, continuations);
  REQUIRE(scores.size() == continuations.size());
  REQUIRE(e->tokens_computed() == static_cast<int64_t>(prefix.size()) + 8 + 0 + 0 + 29 + 3);
  for (size_t k = 0; k < continuations.size(); ++k) {
    const auto expected = expected_logprobs(joined(prefix, continuations[k]));
    require_near(scores[k], expected, prefix.size() - 1, 1e-5);
  }
}

TEST_CASE("greedy text agrees with the reference, past the prefill chunk and from one token on", "[unit]") {
  const Ids prompt = some_ids(GENERATE(1, 4, 19), 8);
  GenerateOptions options;
  options.max_tokens = 24;
  const auto e = engine(GENERATE(1, 5, 2048));
  REQUIRE(e->generate(prompt, options) == expected_greedy(prompt, 24));
  // The last token made is not run through the network.
  REQUIRE(e->tokens_computed() == static_cast<int64_t>(prompt.size()) + 23);
}

TEST_CASE("the cache grows past its first size without changing the text", "[unit]") {
  GenerateOptions options;
  options.max_tokens = 1100;
  const Ids made = engine()->generate({3}, options);
  REQUIRE(made.size() == 1100);
  const Ids all = joined({3}, made);
  options.max_tokens = 3;
  const Ids later = engine()->generate({all.begin(), all.begin() + 1090}, options);
  REQUIRE(later == Ids(all.begin() + 1090, all.begin() + 1093));
}

TEST_CASE("generation stops at stop tokens, at the caller's word and at its budget", "[unit]") {
  const Ids prompt = some_ids(4, 8);
  GenerateOptions options;
  options.max_tokens = 12;
  const Ids free_run = engine()->generate(prompt, options);
  const auto first_of = [&](int32_t token) {
    return static_cast<size_t>(std::find(free_run.begin(), free_run.end(), token) - free_run.begin());
  };
  options.stop_tokens = {free_run[5]};
  const Ids stopped = engine()->generate(prompt, options);
  REQUIRE(stopped == Ids(free_run.begin(), free_run.begin() + static_cast<int64_t>(first_of(free_run[5]))));
  options.stop_tokens.clear();
  options.should_stop = [](const Ids& made) { return made.size() == 3; };
  REQUIRE(engine()->generate(prompt, options) == Ids(free_run.begin(), free_run.begin() + 3));
  options.max_tokens = 0;
  REQUIRE(engine()->generate(prompt, options).empty());
}

TEST_CASE("sampling is a function of the seed, follows the distribution, and top-p cuts its tail", "[unit]") {
  const std::vector<float> logits = {2.0f, 1.0f, 0.0f, -1.0f, 1.5f};
  GenerateOptions options;
  options.temperature = 0.7;
  std::vector<double> expected(5), counts(5), again(5);
  double total = 0;
  for (size_t v = 0; v < 5; ++v) total += expected[v] = std::exp(static_cast<double>(logits[v]) / 0.7);
  constexpr int kDraws = 20000;
  for (int step = 0; step < kDraws; ++step) {
    const int32_t token = choose_token(logits.data(), 5, options, step);
    REQUIRE(token == choose_token(logits.data(), 5, options, step));
    counts[static_cast<size_t>(token)] += 1;
  }
  for (size_t v = 0; v < 5; ++v) REQUIRE(std::abs(counts[v] / kDraws - expected[v] / total) < 0.012);
  options.top_p = (expected[0] + 0.5 * expected[4]) / total;  // reached by tokens 0 and 4 together
  bool both[2] = {false, false};
  for (int step = 0; step < 200; ++step) {
    const int32_t token = choose_token(logits.data(), 5, options, step);
    REQUIRE((token == 0 || token == 4));
    both[token == 4] = true;
  }
  REQUIRE((both[0] && both[1]));
  options.temperature = 0;
  REQUIRE(choose_token(logits.data(), 5, options, 0) == 0);
  const std::vector<float> equal = {1.0f, 3.0f, 3.0f}, broken = {1.0f, NAN};
  REQUIRE(choose_token(equal.data(), 3, options, 0) == 1);
  REQUIRE_THROWS_AS(choose_token(broken.data(), 2, options, 0), Error);
  GenerateOptions warm;
  warm.temperature = 1;
  warm.max_tokens = 20;
  warm.seed = 5;
  const Ids once = engine()->generate({1, 2}, warm);
  REQUIRE(engine()->generate({1, 2}, warm) == once);
  warm.seed = 6;
  REQUIRE(engine()->generate({1, 2}, warm) != once);
}

TEST_CASE("texts decoded together are those decoded alone, bit for bit, however many rows there are",
          "[unit]") {
  const std::string dtype = GENERATE("float32", "bfloat16");
  std::vector<Ids> prompts, expected;
  std::vector<GenerateOptions> options;
  for (int64_t i = 0; i < 9; ++i) {
    prompts.push_back(some_ids(1 + 5 * (i % 4), i));
    GenerateOptions o;
    o.max_tokens = i == 4 ? 0 : 3 + 7 * (i % 3);
    o.temperature = i % 2 ? 1.0 : 0.0;
    o.top_p = 0.9;
    o.seed = static_cast<uint64_t>(i);
    options.push_back(o);
    expected.push_back(engine(2048, dtype)->generate(prompts.back(), o));
  }
  const int64_t rows = GENERATE(1, 3, 32);
  FlatSource source(tiny());
  EngineOptions shape;
  shape.decode_rows = rows;
  shape.dtype = dtype;
  const auto e = make_engine(tiny().config, source, shape);
  std::vector<int> ended(prompts.size(), 0);
  e->generate_all(prompts, options, [&](size_t k, const Ids& ids) {
    ++ended[k];
    REQUIRE(ids == expected[k]);
  });
  REQUIRE(ended == std::vector<int>(prompts.size(), 1));
  REQUIRE(expected[4].empty());
}

TEST_CASE("a prompt that is decoded several times at once is computed once", "[unit]") {
  const std::vector<Ids> prompts = {some_ids(21, 4), some_ids(9, 1), some_ids(21, 4), some_ids(21, 4)};
  std::vector<GenerateOptions> options(prompts.size());
  std::vector<Ids> expected;
  for (size_t i = 0; i < prompts.size(); ++i) {
    options[i].max_tokens = 6;
    options[i].temperature = 1.0;
    options[i].seed = i;
    expected.push_back(engine()->generate(prompts[i], options[i]));
  }
  REQUIRE(expected[0] != expected[2]);
  const auto e = engine();
  e->generate_all(prompts, options, [&](size_t k, const Ids& ids) { REQUIRE(ids == expected[k]); });
  REQUIRE(e->tokens_computed() == 21 + 9 + 4 * 5);
}

TEST_CASE("threads that share an engine get what each would get alone, bit for bit", "[unit]") {
  const std::string dtype = GENERATE("float32", "bfloat16");
  FlatSource source(tiny());
  EngineOptions shape;
  shape.decode_rows = 3;
  shape.dtype = dtype;
  const auto only = make_engine(tiny().config, source, shape);
  SharedEngine shared(*only);
  struct User {
    Ids prefix = {};
    std::vector<Ids> continuations = {}, prompts = {}, made = {};
    std::vector<GenerateOptions> options = {};
    std::vector<std::vector<float>> first = {}, second = {};
    int64_t computed = 0;
  };
  const auto use = [](User& user, Engine& e) {
    user.first = e.logprobs_after(user.prefix, user.continuations);
    e.generate_all(user.prompts, user.options, [&](size_t k, const Ids& ids) { user.made[k] = ids; });
    const int64_t before = e.tokens_computed();
    user.second = e.logprobs_after(user.prefix, user.continuations);
    user.computed = e.tokens_computed() - before;
  };
  std::vector<User> users(4);
  for (size_t u = 0; u < users.size(); ++u) {
    const auto at = static_cast<int64_t>(u);
    users[u].prefix = some_ids(10 + at, at);
    users[u].continuations = {some_ids(5, at), some_ids(7 + at, 9)};
    for (int64_t i = 0; i < 5; ++i) {
      GenerateOptions o;
      o.max_tokens = 2 + 3 * i;
      o.temperature = 1.0;
      o.seed = u;
      users[u].prompts.push_back(some_ids(3 + at + i, i));
      users[u].options.push_back(o);
    }
    users[u].made.resize(5);
  }
  std::vector<User> alone = users;
  for (User& user : alone) use(user, *engine(2048, dtype));
  std::vector<std::thread> threads;
  for (User& user : users) threads.emplace_back([&] { use(user, *shared.handle()); });
  for (std::thread& thread : threads) thread.join();
  for (size_t u = 0; u < users.size(); ++u) {
    REQUIRE(users[u].first == alone[u].first);
    REQUIRE(users[u].made == alone[u].made);
    REQUIRE(users[u].second == alone[u].second);
    // The prefix was kept while others scored behind theirs.
    REQUIRE(users[u].computed == static_cast<int64_t>(4 + 6 + u));
  }
}

TEST_CASE("an error of one user of a shared engine reaches that user and no other", "[unit]") {
  const auto only = engine();
  SharedEngine shared(*only);
  const auto bad = shared.handle(), good = shared.handle();
  GenerateOptions options;
  options.max_tokens = 50;
  const Ids expected = engine()->generate({1, 2}, options);
  Ids made;
  std::thread other([&] { made = good->generate({1, 2}, options); });
  GenerateOptions stopping = options;
  stopping.should_stop = [](const Ids& ids) -> bool {
    if (ids.size() == 3) throw std::runtime_error("stop");
    return false;
  };
  REQUIRE_THROWS_AS(bad->generate({3, 4}, stopping), std::runtime_error);
  REQUIRE_THROWS_AS(bad->generate_all({{3, 4}, {1 << 20}}, {options, options}, [](size_t, const Ids&) {}),
                    Error);
  REQUIRE_THROWS_AS(bad->logprobs_after({}, {{1}}), Error);
  REQUIRE_THROWS_AS(
      bad->generate_all({{3}}, {options}, [](size_t, const Ids&) { throw std::runtime_error("done"); }),
      std::runtime_error);
  other.join();
  REQUIRE(made == expected);
  REQUIRE(bad->generate({1, 2}, options) == expected);
}

TEST_CASE("a prefix is computed once over calls, and what is kept changes no bit", "[unit]") {
  const int64_t chunk = GENERATE(4, 2048);
  const auto e = engine(chunk);
  const std::vector<Ids> continuations = {some_ids(9, 1), some_ids(5, 2)};
  const int64_t own = 8 + 4;
  const auto cost = [&](const Ids& prefix) {
    const int64_t before = e->tokens_computed();
    const auto scores = e->logprobs_after(prefix, continuations);
    const auto fresh = engine(chunk)->logprobs_after(prefix, continuations);
    REQUIRE(scores == fresh);
    return e->tokens_computed() - before - own;
  };
  const Ids prefix = some_ids(23, 5), longer = joined(prefix, some_ids(3, 9)),
            shorter(prefix.begin(), prefix.end() - 2);
  REQUIRE(cost(prefix) == 23);
  REQUIRE(cost(prefix) == 0);
  GenerateOptions options;
  options.max_tokens = 5;
  const int64_t before = e->tokens_computed();
  e->generate(some_ids(6, 3), options);  // keeps caches of its own
  REQUIRE(e->tokens_computed() - before == 6 + 4);
  REQUIRE(cost(prefix) == 0);
  // Of a prefix that begins alike, whole chunks are taken over.
  REQUIRE(cost(longer) == (chunk == 4 ? 26 - 20 : 26));
  REQUIRE(cost(shorter) == (chunk == 4 ? 21 - 20 : 21));
  REQUIRE(cost(some_ids(12, 7)) == 12);
  e->logprobs(some_ids(7, 3), 1);  // writes into the same cache
  REQUIRE(cost(some_ids(12, 7)) == 12);
}

TEST_CASE("a bf16 engine stays near fp32", "[unit]") {
  const Ids ids = some_ids(37, 3);
  const auto expected = expected_logprobs(ids);
  const auto scores = engine(10, "bfloat16")->logprobs(ids, 1);
  double gap = 0;
  for (size_t i = 0; i < scores.size(); ++i) gap += std::abs(scores[i] - expected[i]) / 36;
  REQUIRE(gap < 0.1);
  REQUIRE(gap > 1e-4);
}

TEST_CASE("tied embeddings score with the embedding as head", "[unit]") {
  const FlatModel tied = random_model(tiny_config(3, 1, true), 7, 0.3);
  FlatSource source(tied);
  const auto e = make_engine(tied.config, source, {});
  REQUIRE(source.elements_read == tied.config.num_parameters());  // each weight once
  const Ids ids = some_ids(20, 2);
  const at::Tensor all = at::log_softmax(oracle_logits(tied, {ids.begin(), ids.end() - 1}), -1);
  const auto scores = e->logprobs(ids, 1);
  for (size_t i = 0; i < scores.size(); ++i)
    REQUIRE(std::abs(scores[i] - all[static_cast<int64_t>(i)][ids[i + 1]].item<double>()) < 1e-5);
}

TEST_CASE("an engine reads each weight once and says whose it is", "[unit]") {
  FlatSource source(tiny());
  const auto e = make_engine(tiny().config, source, {});
  REQUIRE(source.elements_read == tiny().config.num_parameters());
  REQUIRE(e->fingerprint() == "flat");
  REQUIRE(e->config().vocab_size == 61);
}

TEST_CASE("bad requests to an engine are errors with the right code", "[unit]") {
  const auto e = engine();
  const auto code_of = [](const auto& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.code();
    }
    return Code::internal;
  };
  REQUIRE(code_of([&] { e->logprobs({1, 2, 3}, 0); }) == Code::input);
  REQUIRE(code_of([&] { e->logprobs({1, 2, 3}, 4); }) == Code::input);
  REQUIRE(code_of([&] { e->logprobs({1, 61, 3}, 1); }) == Code::input);
  REQUIRE(code_of([&] { e->logprobs_after({}, {{1}}); }) == Code::input);
  REQUIRE(code_of([&] { e->logprobs_after({1}, {{-1}}); }) == Code::input);
  REQUIRE(code_of([&] { e->generate({}, {}); }) == Code::input);
  FlatSource source(tiny());
  EngineOptions options;
  options.device = "cuda";
  REQUIRE(code_of([&] { make_engine(tiny().config, source, options); }) == Code::recipe);
  options = {};
  options.dtype = "float16";
  REQUIRE(code_of([&] { make_engine(tiny().config, source, options); }) == Code::recipe);
  options = {};
  options.prefill_chunk = 0;
  REQUIRE(code_of([&] { make_engine(tiny().config, source, options); }) == Code::recipe);
}
