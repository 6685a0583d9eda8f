// The HTTP client against servers that misbehave.
#include <catch2/catch_test_macros.hpp>

#include <chrono>

#include "core/error.h"
#include "core/net/http.h"
#include "core/process/process.h"
#include "tests/shared.h"
#include "tests/shared/http_server.h"

using namespace retrace;
using namespace retrace::tests;

namespace {

HttpResult one(HttpClient& client, HttpRequest request) {
  const uint64_t ticket = client.start(std::move(request));
  for (int i = 0; i < 200; ++i)
    for (HttpResult& result : client.wait(0.1)) {
      REQUIRE(result.ticket == ticket);
      return std::move(result);
    }
  FAIL("no result within 20 s");
  return {};
}

HttpRequest to(const LoopbackServer& server) {
  HttpRequest request;
  request.url = server.url() + "/v1/x";
  request.body = "{}";
  request.total_timeout_s = 5;
  return request;
}

HttpResult after(LoopbackServer::Handler handler, double total_timeout_s = 5, uint64_t max_bytes = 1 << 20) {
  const LoopbackServer server(std::move(handler));
  HttpClient client;
  HttpRequest request = to(server);
  request.total_timeout_s = total_timeout_s;
  request.max_response_bytes = max_bytes;
  return one(client, request);
}

}  // namespace

TEST_CASE("http: requests arrive whole, answers come back, the connection is kept", "[unit]") {
  const LoopbackServer server([](const Received& r, Connection& c) {
    c.answer(r.number == 1 ? 404 : 200, r.method + r.path + r.body, "X-Seen: Yes\r\n");
  });
  HttpClient client;
  HttpRequest request = to(server);
  request.body = std::string(3'000'000, 'a');
  request.headers = {"Content-Type: application/json"};
  const HttpResult first = one(client, request);
  REQUIRE(first.failure == HttpFailure::none);
  REQUIRE(first.status == 200);
  REQUIRE(first.body == "POST/v1/x" + request.body);
  REQUIRE(first.headers.at("x-seen") == "Yes");
  REQUIRE(one(client, to(server)).status == 404);
  HttpRequest get = to(server);
  get.method = "GET";
  REQUIRE(one(client, get).body == "GET/v1/x");
  REQUIRE(server.connections() == 1);
  REQUIRE(server.received()[0].headers.find("Content-Type: application/json") != std::string::npos);
}

TEST_CASE("http: several requests are under way at once on one thread", "[unit]") {
  const LoopbackServer server([](const Received& r, Connection& c) {
    c.pause(0.2);
    c.answer(200, r.body);
  });
  HttpClient client;
  for (int i = 0; i < 8; ++i) client.start(to(server));
  size_t done = 0;
  const auto start = std::chrono::steady_clock::now();
  while (done < 8) done += client.wait(5).size();
  REQUIRE(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(1400));
  REQUIRE(server.most_at_once() > 1);
  REQUIRE(client.under_way() == 0);
}

TEST_CASE("http: nobody listens", "[fault]") {
  HttpClient client;
  HttpRequest request;
  request.url = fmt::format("http://127.0.0.1:{}/", free_port());
  REQUIRE(one(client, request).failure == HttpFailure::refused);
  request.url = "gopher://127.0.0.1/";
  REQUIRE(one(client, request).failure == HttpFailure::other);
  request.url = "file:///etc/passwd";
  REQUIRE(one(client, request).failure == HttpFailure::other);
}

TEST_CASE("http: a hanging server, and one that sends a byte a second, run out of time", "[fault]") {
  REQUIRE(after([](const Received&, Connection& c) { c.hang(); }, 0.3).failure == HttpFailure::timed_out);
  const HttpResult slow = after(
      [](const Received&, Connection& c) {
        c.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        for (int i = 0; i < 100 && !c.dropped(); ++i) {
          c.raw("x");
          c.pause(1);
        }
      },
      1.3);
  REQUIRE(slow.failure == HttpFailure::timed_out);
  REQUIRE(slow.body.empty());
  REQUIRE(slow.status == 0);
}

TEST_CASE("http: answers that are cut, too long, or no HTTP are failures, never half bodies", "[fault]") {
  const auto cut = [](const Received&, Connection& c) {
    c.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"choices\":");
    c.drop();
  };
  REQUIRE(after(cut).failure == HttpFailure::cut);
  REQUIRE(after(cut).body.empty());
  REQUIRE(after([](const Received&, Connection& c) { c.drop(); }).failure == HttpFailure::cut);
  const auto endless = [](const Received&, Connection& c) {
    c.raw("HTTP/1.1 200 OK\r\n\r\n");
    while (!c.dropped()) c.raw(std::string(100'000, ' '));
  };
  REQUIRE(after(endless, 20, 1 << 20).failure == HttpFailure::too_large);
  const auto headers = [](const Received&, Connection& c) {
    c.raw("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 20000 && !c.dropped(); ++i)
      c.raw(fmt::format("X-{}: {}\r\n", i, std::string(50, 'y')));
  };
  REQUIRE(after(headers).failure != HttpFailure::none);
  REQUIRE(after([](const Received&, Connection& c) {
            c.raw("hello, I am no web server\r\n\r\n");
            c.drop();
          }).failure != HttpFailure::none);
}

TEST_CASE("http: an answer longer than it says is cut there, and does not poison the next", "[fault]") {
  const LoopbackServer server([](const Received&, Connection& c) {
    c.raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1234HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  });
  HttpClient client;
  REQUIRE(one(client, to(server)).body == "1234");
  REQUIRE(one(client, to(server)).body == "1234");
}

TEST_CASE("http: redirects are answers, not followed", "[fault]") {
  const LoopbackServer elsewhere([](const Received&, Connection& c) { c.answer(200, "{}"); });
  const HttpResult result = after(
      [&](const Received&, Connection& c) { c.answer(307, "", "Location: " + elsewhere.url() + "/\r\n"); });
  REQUIRE(result.status == 307);
  REQUIRE(elsewhere.received().empty());
}

TEST_CASE("http: the key is sent, and masked wherever the server repeats it", "[fault]") {
  const std::string key = "sk-very-secret-0123456789";
  const LoopbackServer server([](const Received& r, Connection& c) {
    c.answer(401, "wrong key: " + r.headers, "X-Key: sk-very-secret-0123456789\r\n");
  });
  HttpClient client;
  HttpRequest request = to(server);
  request.bearer = key;
  const HttpResult result = one(client, request);
  REQUIRE(server.received()[0].headers.find("Authorization: Bearer " + key) != std::string::npos);
  REQUIRE(result.body.find("Bearer <KEY>") != std::string::npos);
  REQUIRE(result.body.find(key) == std::string::npos);
  REQUIRE(result.headers.at("x-key") == "<KEY>");
}
