// A model behind HTTP as a LanguageModel: what goes out, what is made of the answers, and what is refused.
#include "model/endpoint/endpoint_model.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/model/letter_tokenizer.h"
#include "tests/shared.h"
#include "tests/shared/http_server.h"

using namespace retrace;
using namespace retrace::model;
using namespace retrace::model::testing;
using namespace retrace::tests;

namespace {

const auto kLetters = std::make_shared<LetterTokenizer>();

// A server with all that a model needs to ask it.
struct Served {
  explicit Served(LoopbackServer::Handler handler) : server(std::move(handler)) {
    options.server.model = "llama";
    options.max_length = 16;
    endpoint.role = "scorer";
    endpoint.urls = {server.url()};
    endpoint.backoff_s = 0.01;
    evidence.open(folder / "evidence.sqlite");
  }
  EndpointModel model(std::shared_ptr<const data::Tokenizer> tokenizer = kLetters) {
    admission = std::make_unique<Admission>(admission_options(endpoint));
    endpoints = std::make_unique<Endpoints>(endpoint, evidence, budget, *admission);
    return EndpointModel(options, std::move(tokenizer), *endpoints, "scorer");
  }
  TempFolder folder;
  LoopbackServer server;
  EndpointModelOptions options;
  EndpointOptions endpoint;
  Evidence evidence{folder / "published.sqlite"};
  Budget budget{{}, nullptr, "budget"};
  std::unique_ptr<Admission> admission;
  std::unique_ptr<Endpoints> endpoints;
};

Json completion(const std::string& text, const std::string& finish, const Json& more = Json::object()) {
  Json choice = {{"text", text}, {"finish_reason", finish}};
  choice.update(more);
  return {{"choices", Json::array({choice})}, {"usage", {{"prompt_tokens", 7}, {"completion_tokens", 3}}}};
}

// -id - place/8 nats for each prompt token; the ranks say that even ids are the likeliest.
void vllm(const Received& r, Connection& c) {
  const auto ids = r.json().at("prompt").get<std::vector<int32_t>>();
  Json entries = Json::array({nullptr});
  for (size_t i = 1; i < ids.size(); ++i) {
    const double nats = -ids[i] - static_cast<double>(i) / 8;
    entries.push_back({{std::to_string(ids[i]), {{"logprob", nats}, {"rank", ids[i] % 2 + 1}}}});
  }
  Json answer = completion("x", "length");
  answer["choices"][0]["prompt_logprobs"] = entries;
  c.ok(answer);
}

void sglang(const Received& r, Connection& c) {
  const Json body = r.json();
  const auto ids = body.at("input_ids").get<std::vector<int32_t>>();
  const auto from = body.at("logprob_start_len").get<size_t>();
  Json entries = Json::array();
  for (size_t i = from; i < ids.size(); ++i) {
    const Json nats = i == from ? Json(nullptr) : Json(-ids[i] - static_cast<double>(i) / 8);
    entries.push_back(Json::array({nats, ids[i], nullptr}));
  }
  c.ok({{"text", "x"}, {"meta_info", {{"input_token_logprobs", entries}, {"prompt_tokens", 4}}}});
}

}  // namespace

TEST_CASE("endpoint model: completions get ids, stops and sampling; counts and ends come back", "[unit]") {
  Served s([](const Received& r, Connection& c) {
    const auto first = r.json().at("prompt").get<std::vector<int32_t>>().back();
    if (first == 0) return c.ok(completion("Hello STOP more", "length"));
    if (first == 1) return c.ok(completion("Hello", "stop", {{"stop_reason", "END"}}));
    if (first == 2) return c.ok(completion("Hello", "stop", {{"stop_reason", nullptr}}));
    if (first == 3) return c.ok(completion("Hello", "length"));
    c.ok(completion("Hello</s>rest", "stop"));
  });
  EndpointModel model = s.model();
  const std::vector<std::string> stops = {"STOP", "END", "", "c", "d", "e"};
  const auto texts = model.generate_until({{"A", stops, 6, 0, 1, 3},
                                           {"B", stops, 6, 0, 1, 3},
                                           {"C", stops, 6, 0, 1, 3},
                                           {"D", {}, 6, 0.5, 0.9, 3},
                                           {"abcdefghijklE", {}, 6, 0, 1, 3}});
  REQUIRE(texts[0].text == "H");  // the later stop strings cut as well
  REQUIRE(texts[0].finish == "stop");
  REQUIRE(texts[1].finish == "stop");
  REQUIRE(texts[2].finish == "stop");  // 'e' is cut at here
  REQUIRE(texts[3].text == "Hello");
  REQUIRE(texts[3].finish == "length");
  REQUIRE(texts[3].prompt_tokens == 2);
  REQUIRE(texts[3].new_tokens == 3);
  REQUIRE(texts[4].text == "Hello");  // EOS that a server spells out
  REQUIRE(texts[4].prompt_tokens == 10);
  REQUIRE(texts[4].dropped_tokens == 4);
  for (const Received& r : s.server.received()) {
    REQUIRE(r.path == "/v1/completions");
    const Json body = r.json();
    REQUIRE(body.at("model") == "llama");
    REQUIRE(body.at("max_tokens") == 6);
    const auto ids = body.at("prompt").get<std::vector<int32_t>>();
    if (ids.size() == 10) {
      REQUIRE(ids == kLetters->encode("defghijklE"));
      continue;
    }
    REQUIRE(ids.front() == 59);
    if (ids.back() == 3) {
      REQUIRE(body.at("temperature") == 0.5);
      REQUIRE(body.at("top_p") == 0.9);
      REQUIRE(body.at("seed") == 3);
      REQUIRE_FALSE(body.contains("stop"));
    } else {
      REQUIRE(body.at("stop") == Json({"STOP", "END", "c", "d"}));
      REQUIRE_FALSE(body.contains("seed"));
    }
  }
}

TEST_CASE("endpoint model: the end that a server states is told apart from a stop string", "[unit]") {
  Served s([](const Received& r, Connection& c) {
    const std::string prompt = r.json().at("prompt");
    Json more = Json::object();
    if (prompt == "eos") more["matched_stop"] = 60;
    if (prompt == "stop") more["matched_stop"] = "END";
    c.ok(completion("abc", "stop", more));
  });
  s.options.max_length = 0;
  EndpointModel model = s.model(nullptr);
  const auto texts =
      model.generate_until({{"eos", {"END"}}, {"stop", {"END"}}, {"silent", {"END"}}, {"silent", {}}});
  REQUIRE(texts[0].finish == "eos");
  REQUIRE(texts[1].finish == "stop");
  REQUIRE(texts[2].finish == "stop");
  REQUIRE(texts[3].finish == "eos");
  REQUIRE(texts[0].prompt_tokens == 7);  // the server's own word
}

TEST_CASE("endpoint model: chat is one user message, and cannot score", "[unit]") {
  Served s([](const Received&, Connection& c) {
    Json answer = chat_answer("Hi END");
    answer["choices"][0]["finish_reason"] = "stop";
    c.ok(answer);
  });
  s.options.chat = true;
  EndpointModel model = s.model();
  const GeneratedText text = model.generate_until({{"Hello", {" END"}, 8}})[0];
  REQUIRE(text.text == "Hi");
  REQUIRE(text.finish == "stop");
  REQUIRE(s.server.received()[0].path == "/v1/chat/completions");
  const Json messages = s.server.received()[0].json().at("messages");
  REQUIRE(messages == Json::array({{{"role", "user"}, {"content", "Hello"}}}));
  REQUIRE_FALSE(model.capabilities().loglikelihood);
  const Error error = error_of([&] { model.loglikelihood({{"a", "b"}}); });
  REQUIRE(error.code() == Code::recipe);
  REQUIRE(error.message().find("chat") != std::string::npos);
  REQUIRE_FALSE(error.hint().empty());
  REQUIRE(model.identity() == "http/chat/llama/letters-0123");
}

TEST_CASE("endpoint model: log-likelihoods by either dialect are the sums of the tokens' own", "[unit]") {
  const std::vector<LoglikelihoodRequest> requests = {{"AB ", "CE"}, {"", "BC"}, {"A", "CE"}, {"a", ""}};
  for (const ScoreDialect dialect : {ScoreDialect::vllm, ScoreDialect::sglang}) {
    const bool ranks = dialect == ScoreDialect::vllm;
    Served s(ranks ? vllm : sglang);
    s.options.server.dialect = dialect;
    s.options.server.dtype = "bfloat16";
    EndpointModel model = s.model();
    const auto found = model.loglikelihood(requests);
    REQUIRE(found[0].nats == -58 - 2 - 4 - (3 + 4 + 5) / 8.0);  // the blank, C and E after <s> A B
    REQUIRE(found[0].tokens == 3);
    REQUIRE(found[1].nats == -1 - 2 - (1 + 2) / 8.0);
    REQUIRE(found[3].tokens == 0);
    if (ranks) {
      REQUIRE(found[0].is_greedy == true);
      REQUIRE(found[1].is_greedy == false);
      REQUIRE(found[2].is_greedy == true);
    } else {
      REQUIRE_FALSE(found[0].is_greedy.has_value());
    }
    REQUIRE(s.server.received().size() == 3);
    REQUIRE(model.capabilities().knows_greedy == ranks);
    REQUIRE(model.identity() ==
            (ranks ? "http/vllm/llama/letters-0123/bfloat16" : "http/sglang/llama/letters-0123/bfloat16"));
  }
}

TEST_CASE("endpoint model: a long text is asked for in rolling windows", "[unit]") {
  Served s(vllm);
  s.options.max_length = 4;
  EndpointModel model = s.model();
  const auto found = model.loglikelihood_rolling({{"ABCDEF"}, {""}, {"G"}});
  REQUIRE(found[0].nats == -(0 + 1 + 2 + 3) - (1 + 2 + 3 + 4) / 8.0 - (4 + 5) - (3 + 4) / 8.0);
  REQUIRE(found[0].tokens == 6);
  REQUIRE(found[1].nats == 0);
  REQUIRE(found[2].nats == -6 - 1 / 8.0);
  for (const Received& r : s.server.received()) REQUIRE(r.json().at("prompt").size() <= 5);
  const auto cut = model.loglikelihood({{"ABCDEF", "GH"}})[0];
  REQUIRE(cut.dropped_tokens == 4);
  REQUIRE(cut.nats == -6 - 7 - (3 + 4) / 8.0);
}

TEST_CASE("endpoint model: what cannot be asked is refused by name, before anything is sent", "[unit]") {
  Served s(vllm);
  EndpointModel no_tokenizer = s.model(nullptr);
  const Error error = error_of([&] { no_tokenizer.loglikelihood_rolling({{"a"}}); });
  REQUIRE(error.code() == Code::recipe);
  REQUIRE(error.message().find("loglikelihood_rolling") == 0);
  REQUIRE(error.message().find("tokenizer") != std::string::npos);
  s.options.max_length = 0;
  EndpointModel no_length = s.model();
  REQUIRE_FALSE(no_length.capabilities().loglikelihood_rolling);
  REQUIRE(error_of([&] { no_length.loglikelihood_rolling({{"a"}}); }).code() == Code::recipe);
  s.options.server.model = "";
  REQUIRE(error_of([&] { s.model(); }).where() == "scorer.model");
  REQUIRE(s.server.received().empty());
}

TEST_CASE("endpoint model: a busy server is asked again, a broken answer thrice, a refusal is told",
          "[unit]") {
  Served busy([](const Received& r, Connection& c) {
    if (r.number == 0) return c.answer(503, "later");
    if (r.number == 1) return c.ok({{"choices", Json::array()}});
    c.ok(completion("fine", "length"));
  });
  EndpointModel model = busy.model();
  REQUIRE(model.generate_until({{"A", {}, 4}})[0].text == "fine");
  REQUIRE(busy.server.received().size() == 3);

  Served broken([](const Received&, Connection& c) { c.ok({{"choices", Json::array()}}); });
  EndpointModel never = broken.model();
  REQUIRE(error_of([&] { never.generate_until({{"A", {}, 4}}); }).code() == Code::input);
  REQUIRE(broken.server.received().size() == 3);

  Served refusing([](const Received&, Connection& c) { c.answer(400, "prompt too long"); });
  EndpointModel refused = refusing.model();
  const Error error = error_of([&] { refused.loglikelihood({{"A", "B"}}); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(error.message().find("prompt too long") != std::string::npos);
  REQUIRE(refusing.server.received().size() == 1);
}
