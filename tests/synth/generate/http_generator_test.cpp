// A language model over HTTP as generator: texts, evidence, budgets, and servers that misbehave.
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <cstdlib>
#include <set>

#include "core/error.h"
#include "core/files/files.h"
#include "core/recipe/run_config.h"
#include "model/endpoint/http_rules.h"
#include "synth/config.h"
#include "synth/record/store.h"
#include "synth/synthesis.h"
#include "tests/shared/http_server.h"
#include "tests/synth/memory_sources.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;
using namespace retrace::tests;

namespace {

constexpr const char* kKey = "sk-canary-5a1f77";
constexpr const char* kKeyVariable = "RETRACE_TEST_API_KEY";

Recipe recipe_for(const std::string& url, const std::vector<Override>& overrides = {}) {
  static const Schema schema =
      Schema::of<RunConfig, SynthConfig, SearchConfig, HygieneConfig, GeneratorConfig, ScorerConfig>();
  Recipe recipe(schema);
  for (const Override& o : std::vector<Override>{{"synth.generator", "http"},
                                                 {"synth.read_budget_kib", "1"},
                                                 {"generator.endpoints", "[\"" + url + "\"]"},
                                                 {"generator.model", "small"},
                                                 {"generator.api_key_env", kKeyVariable},
                                                 {"generator.timeout_s", "5"},
                                                 {"generator.max_tokens", "100"}})
    recipe.set(o);
  for (const Override& o : overrides) recipe.set(o);
  return recipe;
}

const std::vector<Snapshot>& snapshots() {
  static const std::vector<Snapshot> all = {make_repository("alpha").snapshot,
                                            make_repository("beta").snapshot};
  return all;
}

Json run_stage(const fs::path& out, const Recipe& recipe, size_t workers = 1) {
  setenv(kKeyVariable, kKey, 1);
  SynthJob job;
  job.out = out;
  slice_of_snapshots(&job, snapshots(), {0, 1});
  if (workers > 1) job.workers.resize(workers);
  return run_synthesis(recipe, job);
}

// A text that depends on the question, so that mixing answers up would show.
std::string text_for(const Received& r) {
  return fmt::format("I will take care of part {}.", std::hash<std::string>()(r.body) % 1000003);
}

LoopbackServer::Handler polite() {
  return [](const Received& r, Connection& c) { c.ok(chat_answer(text_for(r), 100, 20)); };
}

std::vector<Trajectory> trajectories(const fs::path& out) {
  std::vector<Trajectory> all;
  for_each_trajectory(out, [&](const Trajectory& t) { all.push_back(t); });
  return all;
}

size_t slots_in(const fs::path& out) {
  size_t slots = 0;
  for (const Trajectory& t : trajectories(out)) slots += t.slots.size();
  return slots;
}

size_t questions(const std::vector<Received>& received) {
  std::set<std::string> bodies;
  for (const Received& r : received) bodies.insert(r.body);
  return bodies.size();
}

}  // namespace

TEST_CASE("http generator: every slot is asked for once, and a replay needs no server and no key", "[unit]") {
  const TempFolder folder;
  std::map<std::string, std::string> files;
  std::string url;
  {
    const LoopbackServer server([](const Received& r, Connection& c) {
      c.pause(0.01);
      c.ok(chat_answer(text_for(r), 100, 20));
    });
    url = server.url() + "/v1/";
    const Json summary = run_stage(folder.path(), recipe_for(url));
    REQUIRE(server.received().size() == slots_in(folder.path()));
    REQUIRE(questions(server.received()) == server.received().size());
    REQUIRE(server.most_at_once() > 1);
    REQUIRE(summary["asked"]["prompt_tokens"] == 100 * server.received().size());
    const Received first = server.received()[0];
    REQUIRE(first.path == "/v1/chat/completions");
    REQUIRE(first.json()["messages"][0]["role"] == "system");
    REQUIRE(first.headers.find("Bearer " + std::string(kKey)) != std::string::npos);
  }
  for (const Trajectory& t : trajectories(folder.path())) {
    REQUIRE(t.made_by["evidence_root"].get<std::string>().size() == 64);
    for (const Slot& slot : t.slots) {
      REQUIRE(slot.chosen.starts_with("I will take care of part"));
      REQUIRE(slot.author.starts_with("http/small/"));
    }
  }
  files = results_in(folder.path());
  for (const auto& [name, bytes] : all_files(folder.path())) REQUIRE(bytes.find(kKey) == std::string::npos);
  fs::remove(folder.path() / "done.json");
  unsetenv(kKeyVariable);
  SynthJob job;
  job.out = folder.path();
  slice_of_snapshots(&job, snapshots(), {0, 1});
  run_synthesis(recipe_for("http://127.0.0.1:9"), job);
  auto again = results_in(folder.path());
  files.erase("evidence.db");
  again.erase("evidence.db");
  REQUIRE(again == files);
}

TEST_CASE("http generator: repositories made at once share what the server admits, and change no byte",
          "[unit]") {
  std::vector<std::map<std::string, std::string>> files;
  std::vector<int> at_once;
  for (const auto& [workers, most] : {std::pair(1, 32), std::pair(2, 32), std::pair(2, 3)}) {
    const TempFolder folder;
    const LoopbackServer server([](const Received& r, Connection& c) {
      c.pause(0.05);
      c.ok(chat_answer(text_for(r), 100, 20));
    });
    run_stage(folder.path(), recipe_for(server.url(), {{"generator.max_in_flight", std::to_string(most)}}),
              static_cast<size_t>(workers));
    REQUIRE(server.received().size() == slots_in(folder.path()));
    REQUIRE(server.most_at_once() <= most);
    at_once.push_back(server.most_at_once());
    files.push_back(results_in(folder.path()));
    files.back().erase("evidence.db");
    REQUIRE(files.back() == files.front());
  }
  REQUIRE(at_once[1] > at_once[0]);
}

TEST_CASE("Retry-After is seconds, milliseconds or a date, and anything else is unsaid", "[unit]") {
  const auto after = [](std::map<std::string, std::string> headers) {
    HttpResult result;
    result.headers = std::move(headers);
    return model::retry_after_s(result);
  };
  const char* const now = "Sun, 06 Nov 1994 08:49:37 GMT";
  REQUIRE(after({{"retry-after", "7"}}) == 7);
  REQUIRE(after({{"retry-after", "7"}, {"retry-after-ms", "250"}}) == 0.25);
  for (const char* later :
       {"Sun, 06 Nov 1994 08:51:07 GMT", "Sunday, 06-Nov-94 08:51:07 GMT", "Sun Nov  6 08:51:07 1994"})
    REQUIRE(after({{"retry-after", later}, {"date", now}}) == 90);
  REQUIRE(after({{"retry-after", now}, {"date", "Sun, 06 Nov 1994 08:51:07 GMT"}}) == 0);
  REQUIRE(after({{"retry-after", now}}) == 0);  // by this machine's clock long ago
  const auto far = after({{"retry-after", "Fri, 31 Dec 2100 23:59:59 GMT"}});
  REQUIRE((far && *far > 1e8));
  for (const char* none : {"", "-1", "soon", "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37 GMT and more", "nan"})
    REQUIRE_FALSE(after({{"retry-after", none}}).has_value());
}

TEST_CASE("http generator: rude servers cost retries, never work, and each job is done once", "[fault]") {
  const TempFolder calm, rough;
  {
    const LoopbackServer server(polite());
    run_stage(calm.path(), recipe_for(server.url()));
  }
  std::set<std::string> answered;
  bool twice = false;
  std::mutex mutex;
  const LoopbackServer server([&](const Received& r, Connection& c) {
    switch (r.number % 9) {
      case 1:
        return c.answer(500, "oops");
      case 2:
        return c.answer(429, "{}", "Retry-After: 0\r\n");
      case 3:
        return c.drop();
      case 4:
        c.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\": [");
        return c.drop();
      case 5:
        return c.answer(503, "", "retry-after-ms: 20\r\n");
      case 6:
        return c.ok({{"error", {{"message", "the engine is dead"}, {"code", 500}}}});
      case 7:
        return r.number < 20 ? c.hang() : c.answer(408, "");
      default: {
        const std::lock_guard lock(mutex);
        twice = twice || !answered.insert(r.body).second;
        return c.ok(chat_answer(text_for(r), 100, 20));
      }
    }
  });
  run_stage(rough.path(), recipe_for(server.url(), {{"generator.timeout_s", "0.5"},
                                                    {"generator.retries", "40"},
                                                    {"generator.backoff_s", "0.01"}}));
  REQUIRE_FALSE(twice);
  REQUIRE(answered.size() == slots_in(rough.path()));
  REQUIRE(read_file(rough.path() / "trajectories.traj") == read_file(calm.path() / "trajectories.traj"));
}

TEST_CASE("http generator: a server that goes away ends the run with 75; it goes on where it was",
          "[fault]") {
  const TempFolder folder;
  std::set<std::string> paid;
  {
    const LoopbackServer server([](const Received& r, Connection& c) {
      if (r.number >= 7) return c.drop();
      c.ok(chat_answer(text_for(r)));
    });
    const Recipe recipe =
        recipe_for(server.url(), {{"generator.retries", "1"}, {"generator.max_in_flight", "2"}});
    const Error error = error_of([&] { run_stage(folder.path(), recipe); });
    REQUIRE(exit_status(error.code()) == 75);
    for (const Received& r : server.received())
      if (r.number < 7) paid.insert(r.body);
  }
  const LoopbackServer server(polite());
  run_stage(folder.path(), recipe_for(server.url()));
  for (const Received& r : server.received()) REQUIRE_FALSE(paid.count(r.body));
  REQUIRE(server.received().size() + 7 == slots_in(folder.path()));
}

TEST_CASE("http generator: a killed process loses what is under way and nothing else", "[fault]") {
  const TempFolder folder;
  std::atomic<bool> released{false};
  const LoopbackServer server([&](const Received& r, Connection& c) {
    if (r.number == 9 && !released) return c.hang();
    c.ok(chat_answer(text_for(r)));
  });
  const Recipe recipe =
      recipe_for(server.url(), {{"generator.max_in_flight", "1"}, {"generator.timeout_s", "60"}});
  const pid_t child = fork();
  if (child == 0) {
    run_stage(folder.path(), recipe);
    _exit(0);
  }
  for (int i = 0; i < 1000 && server.received().size() < 10; ++i) usleep(10000);
  REQUIRE(server.received().size() == 10);
  usleep(100000);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  released = true;
  run_stage(folder.path(), recipe);
  REQUIRE(server.received().size() == slots_in(folder.path()) + 1);
}

TEST_CASE("http generator: redirects and refused keys end the run with the reason", "[fault]") {
  const LoopbackServer elsewhere(polite());
  for (const int status : {307, 401, 404}) {
    const TempFolder folder;
    const LoopbackServer server([&](const Received& r, Connection& c) {
      c.answer(status, "no: " + r.headers, "Location: " + elsewhere.url() + "/v1/chat/completions\r\n");
    });
    const Error error = error_of([&] { run_stage(folder.path(), recipe_for(server.url())); });
    REQUIRE(error.code() == Code::recipe);
    REQUIRE(error.message().find(std::to_string(status)) != std::string::npos);
    REQUIRE(std::string(error.what()).find(kKey) == std::string::npos);
  }
  REQUIRE(elsewhere.received().empty());
  const TempFolder folder;
  const Error error = error_of([&] {
    run_stage(folder.path(),
              recipe_for(elsewhere.url(), {{"generator.api_key_env", "RETRACE_NO_SUCH_VARIABLE"}}));
  });
  REQUIRE(error.code() == Code::recipe);
}

TEST_CASE("http generator: malformed answers are data: asked again, then the template's text stands",
          "[fault]") {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const std::vector<std::string> answers = {"",
                                            "{\"choices\": [{\"message\": {\"content\": \"half",
                                            "{\"choices\": " + deep + "}",
                                            R"({"choices": [{"message": {"content": "a", "content": "b"}}]})",
                                            R"({"choices": [{"message": {"content": "\ud800"}}]})",
                                            "{\"choices\": [{\"message\": {\"content\": \"\xff\xfe\"}}]}",
                                            R"({"choices": NaN})",
                                            R"({"id": 1})",
                                            R"({"choices": {"message": 3}})",
                                            R"({"choices": [{"message": {"content": 7}}]})",
                                            R"([1, 2])",
                                            R"({"choices": []})",
                                            std::string(3 << 20, ' '),
                                            to_text(chat_answer("x <|im_end|> y")),
                                            to_text(chat_answer("code:\n```\na\nb\nc\nd\n```\n")),
                                            to_text(chat_answer(std::string(7000, 'w'))),
                                            to_text(chat_answer("  "))};
  const TempFolder folder;
  const LoopbackServer server([&](const Received& r, Connection& c) {
    c.answer(200, answers[static_cast<size_t>(r.number) % answers.size()]);
  });
  const Json summary =
      run_stage(folder.path(),
                recipe_for(server.url(), {{"generator.attempts", "2"}, {"generator.max_response_mib", "1"}}));
  REQUIRE(server.received().size() == 2 * slots_in(folder.path()));
  for (const Trajectory& t : trajectories(folder.path()))
    for (const Slot& slot : t.slots) REQUIRE(slot.author == "template/1");
  int64_t given_up = 0;
  for (const auto& [what, count] : summary["asked"].items())
    if (what.starts_with("generator_given_up_")) given_up += count.get<int64_t>();
  REQUIRE(given_up == static_cast<int64_t>(slots_in(folder.path())));
  REQUIRE(summary["asked"]["generator_refused_malformed"] > 0);
  REQUIRE(summary["asked"]["generator_refused_oversized"] > 0);
  const TempFolder stopped;
  const Error error = error_of([&] {
    run_stage(stopped.path(), recipe_for(server.url(), {{"generator.max_response_mib", "1"},
                                                        {"generator.on_failure", "stop"}}));
  });
  REQUIRE(exit_status(error.code()) == 4);
}

TEST_CASE("http generator: a budget stops before it is passed, and what is done is kept", "[unit]") {
  const TempFolder folder;
  int64_t spent = 0;
  std::mutex mutex;
  const LoopbackServer server([&](const Received& r, Connection& c) {
    {
      const std::lock_guard lock(mutex);
      spent += static_cast<int64_t>(r.body.size() / 2) + 100;
    }
    c.ok(chat_answer(text_for(r), static_cast<int>(r.body.size() / 2), 100));
  });
  const int64_t limit = 40000;
  const Error error = error_of([&] {
    run_stage(folder.path(), recipe_for(server.url(), {{"generator.budget_tokens", std::to_string(limit)}}));
  });
  REQUIRE(exit_status(error.code()) == 4);
  REQUIRE(spent <= limit);
  REQUIRE(spent > limit / 2);
  const size_t before = server.received().size();
  REQUIRE(error_of([&] {
            run_stage(folder.path(),
                      recipe_for(server.url(), {{"generator.budget_tokens", std::to_string(limit)}}));
          }).code() == Code::incomplete);
  REQUIRE(spent <= limit);
  // 40,000 tokens at these prices cost 0.1212 USD at most; a dollar is enough for all.
  run_stage(folder.path(), recipe_for(server.url(), {{"generator.budget_usd", "1"},
                                                     {"generator.usd_per_million_input", "3"},
                                                     {"generator.usd_per_million_output", "15"}}));
  REQUIRE(server.received().size() == slots_in(folder.path()));
  REQUIRE(before < server.received().size());
  const TempFolder poor;
  REQUIRE(error_of([&] {
            run_stage(poor.path(), recipe_for(server.url(), {{"generator.budget_usd", "0.001"},
                                                             {"generator.usd_per_million_output", "15"}}));
          }).code() == Code::incomplete);
  REQUIRE(server.received().size() == slots_in(folder.path()));
}

TEST_CASE("http generator: several endpoints share the work, and the rest goes on when one is gone",
          "[unit]") {
  const TempFolder both, one;
  const LoopbackServer a(polite()), b(polite());
  run_stage(both.path(),
            recipe_for(a.url(), {{"generator.endpoints", "[\"" + a.url() + "\", \"" + b.url() + "\"]"}}));
  REQUIRE(a.received().size() + b.received().size() == slots_in(both.path()));
  REQUIRE(a.received().size() > 2);
  REQUIRE(b.received().size() > 2);
  const std::string dead = "http://127.0.0.1:9";
  run_stage(one.path(),
            recipe_for(a.url(), {{"generator.endpoints", "[\"" + dead + "\", \"" + a.url() + "\"]"}}));
  REQUIRE(read_file(one.path() / "trajectories.traj") == read_file(both.path() / "trajectories.traj"));
}
