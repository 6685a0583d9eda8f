// Ranks that cannot come together: each is a process of its own here, as a launcher on another machine starts
// it, and each must end in time with the status that is promised and the reason.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <future>

#include "core/files/files.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"
#include "train/step/round_setup.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

constexpr double kTimeout_s = 3, kMargin_s = 5 + 3;  // the promise's five seconds; three for busy machines

struct Started {
  int rank;
  std::vector<std::string> more;  // arguments of this rank
};

struct Ended {
  std::vector<ProcessResult> results;  // as they were started
  double took_s = 0;
};

Ended start_ranks(const Bench& bench, int size, int port, const std::vector<Started>& ranks) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::future<ProcessResult>> running;
  for (const Started& each : ranks)
    running.push_back(std::async(std::launch::async, [&] {
      std::vector<std::string> more = {fmt::format("run.timeout_s={}", kTimeout_s)};
      more.insert(more.end(), each.more.begin(), each.more.end());
      return bench.start(bench.temp.path() / "tiny.toml", "run", 1, more,
                         {{"RANK", std::to_string(each.rank)},
                          {"WORLD_SIZE", std::to_string(size)},
                          {"LOCAL_RANK", "0"},
                          {"LOCAL_WORLD_SIZE", "1"},
                          {"MASTER_ADDR", "127.0.0.1"},
                          {"MASTER_PORT", std::to_string(port)}});
    }));
  Ended ended;
  for (auto& each : running) ended.results.push_back(each.get());
  ended.took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return ended;
}

void expect_all(const Ended& ended, const std::string& text) {
  for (const ProcessResult& result : ended.results) {
    INFO(result.output);
    REQUIRE_FALSE(result.timed_out);
    REQUIRE(result.exit_status == 75);
    REQUIRE(contains(result, text));
  }
  REQUIRE(ended.took_s < kTimeout_s + kMargin_s);
}

// A program that has the port and says nothing.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t length = sizeof address;
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::listen(fd_, 8) == 0);
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { ::close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  int port() const { return port_; }

 private:
  int fd_, port_ = 0;
};

}  // namespace

TEST_CASE("a port that another program has ends every rank with its address", "[fault]") {
  const Bench bench;
  const Listener taken;
  const Ended ended = start_ranks(bench, 2, taken.port(), {{0, {}}, {1, {}}});
  expect_all(ended, fmt::format("127.0.0.1:{}", taken.port()));
  REQUIRE(contains(ended.results[0], "cannot serve"));
  REQUIRE_FALSE(fs::exists(bench.run("run") / "metrics.jsonl"));
}

TEST_CASE("a rank that never comes is named on every rank that came", "[fault]") {
  const Bench bench;
  expect_all(start_ranks(bench, 3, free_port(), {{0, {}}, {2, {}}}), "rank 1 did not join within 3 s");
  const int port = free_port();
  expect_all(start_ranks(bench, 3, port, {{1, {}}, {2, {}}}),
             fmt::format("cannot reach the job's store at 127.0.0.1:{}", port));
  REQUIRE_FALSE(fs::exists(bench.run("run") / "metrics.jsonl"));
}

TEST_CASE("ranks of different recipes or weights all refuse, and all say who differs in what", "[fault]") {
  const Bench bench;
  expect_all(start_ranks(bench, 3, free_port(), {{0, {}}, {1, {}}, {2, {"optim.lr=0.5"}}}),
             "rank 2 has another optim.lr");
  for (const auto& [name, seed] : {std::pair{"a", "run.seed=1"}, {"b", "run.seed=2"}}) {
    expect_ok(bench.train(name, 1, {seed, "train.steps=1"}));
    export_checkpoint(bench.run(name) / "checkpoints" / "step-1", bench.run(name) / "hf", "float32");
  }
  const std::string a = "model.path=" + (bench.run("a") / "hf").string(),
                    b = "model.path=" + (bench.run("b") / "hf").string();
  expect_all(start_ranks(bench, 3, free_port(), {{0, {a}}, {1, {b}}, {2, {a}}}),
             "rank 1 has another set of start weights");
  REQUIRE_FALSE(fs::exists(bench.run("run") / "metrics.jsonl"));
}

TEST_CASE("agreement rank", "[.][job]") {
  if (!std::getenv("WORLD_SIZE")) SKIP("started by other tests only");
  int status = 0;
  try {
    World world(read_launch_env(), kTimeout_s);
    try {
      agree_before_training(world, {{"data", "same"}, {"version", world.rank() == 1 ? "0.2" : "0.1"}});
    } catch (const Error& error) {
      write_file(fs::path(std::getenv("RETRACE_TEST_OUT")) / std::to_string(world.rank()), error.what());
      world.report_failure(error);
      throw;
    }
  } catch (const Error& error) {
    status = error.status();
  }
  ::_exit(status);
}

TEST_CASE("ranks of different code all refuse", "[fault]") {
  const TempFolder temp;
  ::setenv("RETRACE_TEST_OUT", temp.path().c_str(), 1);
  REQUIRE(launch_ranks({"tests_train", "agreement rank"}, 3, 5) == 75);
  for (const char* rank : {"0", "1", "2"})
    REQUIRE(read_file(temp.path() / rank).find("rank 1 has another version than rank 0") !=
            std::string::npos);
}
