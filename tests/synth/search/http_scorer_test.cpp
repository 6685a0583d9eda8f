// A language model over HTTP as scorer: the same sums as in this process, and servers that lie are refused.
#include <catch2/catch_test_macros.hpp>

#include <cmath>

#include "core/error.h"
#include "synth/config.h"
#include "synth/search/http_scorer.h"
#include "tests/shared/http_server.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;
using namespace retrace::tests;

namespace {

using Ids = std::vector<int32_t>;

std::string likeliest(ByteEngine& engine, Ids ids) {
  int best = 0;
  float best_logprob = -1e9F;
  ids.push_back(0);
  for (int c = 0; c < 128; ++c) {
    ids.back() = c;
    const float logprob = engine.logprobs(ids, static_cast<int64_t>(ids.size()) - 1)[0];
    if (logprob <= best_logprob) continue;
    best_logprob = logprob;
    best = c;
  }
  return std::string(1, static_cast<char>(best));
}

using Change = std::function<void(Json& answer)>;

LoopbackServer::Handler vllm(const Change& change = nullptr) {
  return [change](const Received& r, Connection& c) {
    ByteEngine engine;
    const Json body = r.json();
    const Ids ids = body.at("prompt").get<Ids>();
    Json entries = {nullptr};
    const std::vector<float> logprobs = engine.logprobs(ids, 1);
    for (size_t i = 1; i < ids.size(); ++i)
      entries.push_back(
          {{"999", {{"logprob", -0.5}}}, {std::to_string(ids[i]), {{"logprob", logprobs[i - 1]}}}});
    Json answer = {{"choices", {{{"text", likeliest(engine, ids)}, {"prompt_logprobs", entries}}}},
                   {"usage", {{"prompt_tokens", ids.size()}, {"completion_tokens", 1}}}};
    if (change) change(answer);
    c.ok(answer);
  };
}

LoopbackServer::Handler sglang() {
  return [](const Received& r, Connection& c) {
    ByteEngine engine;
    const Json body = r.json();
    const Ids ids = body.at("input_ids").get<Ids>();
    const auto from = body.at("logprob_start_len").get<size_t>();
    const std::vector<float> logprobs = engine.logprobs(ids, 1);
    Json entries = Json::array();
    for (size_t i = from; i < ids.size(); ++i)
      entries.push_back(Json::array({i == from ? Json(nullptr) : Json(logprobs[i - 1]), ids[i], nullptr}));
    c.ok({{"text", likeliest(engine, ids)},
          {"meta_info",
           {{"input_token_logprobs", entries}, {"prompt_tokens", ids.size()}, {"completion_tokens", 1}}}});
  };
}

struct Setup {
  explicit Setup(const std::string& url, const std::string& dialect = "vllm", int64_t budget_tokens = 0)
      : evidence(folder.path() / "evidence.db"), budget({budget_tokens, 0, 0, 0}, nullptr, "") {
    config.endpoints = {url};
    config.dialect = dialect;
    config.model = "bytes";
    config.timeout_s = 5;
    config.retries = 2;
    config.backoff_s = 0.01;
    evidence.open(folder.path() / "one.evidence.db");
    admission = std::make_unique<model::Admission>(
        model::admission_options(model::endpoint_options(config, "scorer")));
    endpoints = std::make_unique<model::Endpoints>(model::endpoint_options(config, "scorer"), evidence,
                                                   budget, *admission);
    scorer = std::make_unique<HttpScorer>(config, byte_tokenizer(), 4096, *endpoints, evidence);
  }
  TempFolder folder;
  ScorerConfig config;
  model::Evidence evidence;
  model::Budget budget;
  std::unique_ptr<model::Admission> admission;
  std::unique_ptr<model::Endpoints> endpoints;
  std::unique_ptr<HttpScorer> scorer;
};

const std::vector<std::string> kThoughts = {"I will write a loop.",
                                            "def read(path):", std::string(5000, 'x')};
const std::string kPrefix = "The plan: read a file.\n", kClose = "\nwrite pkg/read.py\n",
                  kTarget = "def read(path):\n    return open(path).read()\n";

std::string refusal(const LoopbackServer::Handler& handler, Code code = Code::input) {
  const LoopbackServer server(handler);
  Setup s(server.url());
  try {
    s.scorer->score(kPrefix, kThoughts, kClose, kTarget);
  } catch (const Error& error) {
    REQUIRE(error.code() == code);
    return error.message();
  }
  return "accepted";
}

Json& entries(Json& answer) {
  return answer["choices"][0]["prompt_logprobs"];
}

void set_all(Json& answer, const std::function<double(double)>& to) {
  for (Json& entry : entries(answer))
    if (!entry.is_null())
      for (auto& [id, value] : entry.items()) value["logprob"] = to(value["logprob"].get<double>());
}

}  // namespace

TEST_CASE("http scorer: both dialects give the sums of the same weights in this process", "[unit]") {
  ByteEngine engine;
  const auto expected =
      make_local_scorer(engine, byte_tokenizer(), 4096)->score(kPrefix, kThoughts, kClose, kTarget);
  REQUIRE(expected[2].n_tokens == 0);
  for (const std::string dialect : {"vllm", "sglang"}) {
    const LoopbackServer server(dialect == "vllm" ? vllm() : sglang());
    Setup s(server.url(), dialect);
    for (int round = 0; round < 2; ++round) {
      const auto scores = s.scorer->score(kPrefix, kThoughts, kClose, kTarget);
      REQUIRE(scores.size() == 3);
      for (size_t k = 0; k < 3; ++k) {
        REQUIRE(scores[k].n_tokens == expected[k].n_tokens);
        REQUIRE(scores[k].n_bytes == expected[k].n_bytes);
        REQUIRE(std::abs(scores[k].nll - expected[k].nll) <= 1e-5 * expected[k].nll);
        REQUIRE(std::abs(scores[k].nll_clipped - expected[k].nll_clipped) <= 1e-5 * expected[k].nll);
      }
      // Five questions of the preflight, two thoughts that fit; the second time all from evidence.
      REQUIRE(server.received().size() == 7);
    }
    REQUIRE(s.scorer->noise_nats() == 0);
    const Json last = server.received().back().json();
    if (dialect == "sglang")
      REQUIRE(last["logprob_start_len"] == last["input_ids"].size() - kTarget.size() - 1);
  }
}

TEST_CASE("http scorer: the noise of a server is measured, and kept with the evidence", "[unit]") {
  std::atomic<int> n{0};
  const LoopbackServer server(vllm([&](Json& answer) {
    const double shift = n++ % 2 == 0 ? 0 : -0.01;
    set_all(answer, [&](double x) { return x + shift; });
  }));
  Setup s(server.url());
  s.scorer->score(kPrefix, kThoughts, kClose, kTarget);
  REQUIRE(std::abs(s.scorer->noise_nats() - 0.01) < 1e-4);
  HttpScorer again(s.config, byte_tokenizer(), 4096, *s.endpoints, s.evidence);
  REQUIRE(again.noise_nats() == s.scorer->noise_nats());
}

TEST_CASE("http scorer: servers that lie are refused with the reason", "[fault]") {
  const auto lies = [](const Change& change) { return refusal(vllm(change)); };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  REQUIRE(has(lies([](Json& a) { a["choices"][0].erase("prompt_logprobs"); }), "no prompt_logprobs"));
  REQUIRE(has(lies([](Json& a) { entries(a).erase(3); }), "prompt tokens"));
  REQUIRE(has(lies([](Json& a) { entries(a)[0] = {{"1", {{"logprob", -1.0}}}}; }), "first token"));
  REQUIRE(has(lies([](Json& a) { set_all(a, [](double) { return 0.0; }); }), "are 0"));
  REQUIRE(has(lies([](Json& a) { set_all(a, [](double x) { return -x; }); }), "above 0"));
  REQUIRE(has(lies([](Json& a) { set_all(a, [](double) { return -3.0; }); }), "shuffled"));
  REQUIRE(has(lies([](Json& a) { set_all(a, [](double x) { return x - 12; }); }), "own choice"));
  REQUIRE(has(lies([](Json& a) { entries(a)[2] = {{"7", {{"logprob", -1.0}}}}; }), "not among"));
  REQUIRE(has(lies([](Json& a) {
                for (auto& [id, value] : entries(a)[2].items()) value["logprob"] = "high";
              }),
              "no number"));
  REQUIRE(has(lies([](Json& a) { a["choices"] = Json::array(); }), "one choice"));
  REQUIRE(
      has(refusal([](const Received&, Connection& c) { c.answer(200, "{\"choices\": [NaN]}"); }), "refused"));
  REQUIRE(has(refusal([](const Received&, Connection& c) { c.answer(422, "prompt must be text"); }), "422"));
  refusal([](const Received&, Connection& c) { c.answer(404, "{}"); }, Code::recipe);
  refusal([](const Received&, Connection& c) { c.drop(); }, Code::network);
}

TEST_CASE(
    "http scorer: a server that fails at ids but takes text is refused, and what it says of text is told",
    "[fault]") {
  // As llama-cpp-python: an internal error for ids; with echo the log-probabilities of other tokens.
  const auto text_only = [](double logprob) {
    return [logprob](const Received& r, Connection& c) {
      const Json body = r.json();
      if (!body.at("prompt").is_string()) return c.answer(500, "57 validation errors");
      Json choice = {{"text", "abcd"}};
      if (body.contains("echo")) {
        Json logprobs = {nullptr};
        while (logprobs.size() <= body.at("prompt").get<std::string>().size()) logprobs.push_back(logprob);
        choice["logprobs"] = {{"token_logprobs", logprobs}};
      }
      c.ok({{"choices", {choice}}});
    };
  };
  const std::string liar = refusal(text_only(-14.5)), honest = refusal(text_only(-0.1));
  REQUIRE(liar.find(
              "is refused as a scorer: it answers a prompt of text, but none of token ids; what it gives") !=
          std::string::npos);
  REQUIRE(liar.find("log-probability -14.50") != std::string::npos);
  REQUIRE(honest.find("none of token ids") != std::string::npos);
  REQUIRE(honest.find("cannot be true") == std::string::npos);
  REQUIRE(refusal([](const Received&, Connection& c) { c.answer(500, "out of order"); }, Code::network)
              .find("no answer from") != std::string::npos);
}

TEST_CASE("http scorer: an answer without one finite value a token is asked again, then refused", "[fault]") {
  std::atomic<int> broken{0};
  // After the preflight's five, every second answer lacks its last entry.
  const auto handler = [&](int every) {
    return [&, every](const Received& r, Connection& c) {
      const bool bad = r.number >= 5 && r.number % every == 0;
      broken += bad;
      vllm([bad](Json& a) {
        if (bad) entries(a).erase(entries(a).size() - 1);
      })(r, c);
    };
  };
  {
    const LoopbackServer server(handler(100));
    Setup s(server.url());
    REQUIRE(s.scorer->score(kPrefix, kThoughts, kClose, kTarget)[0].n_tokens > 0);
    REQUIRE(broken == 0);
  }
  {
    const LoopbackServer server(handler(6));
    Setup s(server.url());
    REQUIRE(s.scorer->score(kPrefix, kThoughts, kClose, kTarget)[1].n_tokens > 0);
    REQUIRE(broken == 1);
  }
  REQUIRE(refusal(handler(1)).find("refused") != std::string::npos);
}

TEST_CASE("http scorer: its budget stops it, the preflight included", "[unit]") {
  const LoopbackServer server(vllm());
  Setup s(server.url(), "vllm", 300);
  try {
    s.scorer->score(kPrefix, kThoughts, kClose, kTarget);
    FAIL("the budget held nothing back");
  } catch (const Error& error) {
    REQUIRE(exit_status(error.code()) == 4);
  }
  REQUIRE(server.received().size() <= 1);
}
