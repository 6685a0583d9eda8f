// The collectives between real processes: values, order of additions, and what they do when a peer is gone.
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "core/error.h"
#include "core/process/process.h"
#include "train/ranks/patient_wait.h"
#include "train/world.h"

using namespace retrace;
using namespace retrace::train;

namespace {

// Values whose sum depends on the order of additions.
float awkward(int rank, int64_t i) {
  return static_cast<float>(rank == 0 ? 1e8 : rank == 1 ? -1e8 : 0.5) * static_cast<float>(i % 3 + 1);
}

void use_all(World& world) {
  Collectives& group = world.collectives();
  const int rank = world.rank(), size = world.size();
  constexpr int64_t kPart = 5;
  const at::Tensor part = at::full({kPart}, rank + 1).to(at::kBFloat16);
  const at::Tensor whole = at::zeros({kPart * size}, at::kBFloat16);
  group.start_all_gather(part, whole)->wait();
  for (int r = 0; r < size; ++r) REQUIRE(whole.narrow(0, r * kPart, kPart).eq(r + 1).all().item<bool>());
  group.start_all_gather(whole.narrow(0, rank * kPart, kPart), whole)->wait();
  REQUIRE(whole.sum().item<float>() == 5 * 6);

  at::Tensor mine = at::empty({kPart * size}), sum = at::full({kPart}, 2.0f);
  for (int64_t i = 0; i < mine.numel(); ++i) mine.mutable_data_ptr<float>()[i] = awkward(rank, i);
  auto first = group.start_reduce_scatter(mine, sum);
  at::Tensor again = at::zeros({kPart});
  auto second = group.start_reduce_scatter(mine, again);
  first->wait();
  second->wait();
  for (int64_t i = 0; i < kPart; ++i) {
    float expected = awkward(0, rank * kPart + i);
    for (int r = 1; r < size; ++r) expected += awkward(r, rank * kPart + i);
    REQUIRE(again.const_data_ptr<float>()[i] == expected);
    REQUIRE(sum.const_data_ptr<float>()[i] == 2.0f + expected);
  }

  for (const int64_t n : {kPart * size, kPart}) {  // the ranks divide it, or not
    const at::Tensor values = at::empty({n}), others = at::empty({n});
    for (int64_t i = 0; i < n; ++i) values.mutable_data_ptr<float>()[i] = awkward(rank, i);
    others.fill_(rank);
    auto one = group.start_all_reduce(values), two = group.start_all_reduce(others);
    one->wait();
    two->wait();
    for (int64_t i = 0; i < n; ++i) {
      float expected = awkward(0, i);
      for (int r = 1; r < size; ++r) expected += awkward(r, i);
      REQUIRE(values.const_data_ptr<float>()[i] == expected);
      REQUIRE(others.const_data_ptr<float>()[i] == static_cast<float>(size * (size - 1) / 2));
    }
  }

  const at::Tensor pieces = at::empty({size * kPart}, at::kBFloat16), swapped = at::empty_like(pieces);
  for (int r = 0; r < size; ++r) pieces.narrow(0, r * kPart, kPart).fill_(10 * rank + r);
  group.start_all_to_all(pieces, swapped)->wait();
  for (int r = 0; r < size; ++r)
    REQUIRE(swapped.narrow(0, r * kPart, kPart).eq(10 * r + rank).all().item<bool>());

  REQUIRE(group.gather({1.0 * rank, 7}) == std::vector<double>{0, 7, 1, 7, 2, 7});
  REQUIRE(group.sum({1e16 * (rank == 0), 1.0 * rank}) == std::vector<double>{1e16, 3});
  REQUIRE(group.max({-1.0 * rank, 1.0 * rank}) == std::vector<double>{0, 2});
  std::vector<double> told = {rank == 1 ? 42.0 : 0.0};
  group.broadcast(told, 1);
  REQUIRE(told == std::vector<double>{42});
  group.barrier();

  // {0, 1} and {2}, twice, beside each other and the whole.
  const std::vector<int> members = rank < 2 ? std::vector<int>{0, 1} : std::vector<int>{2};
  for (int turn = 0; turn < 2; ++turn) {
    const auto pair = group.subgroup(members);
    REQUIRE(pair->size() == (rank < 2 ? 2 : 1));
    REQUIRE(pair->rank() == (rank < 2 ? rank : 0));
    const at::Tensor mine = at::full({3}, rank + 1.0), all = at::full({3}, 1.0);
    auto outer = group.start_all_reduce(all), inner = pair->start_all_reduce(mine);
    inner->wait();
    outer->wait();
    REQUIRE(mine.eq(3).all().item<bool>());
    REQUIRE(all.eq(3).all().item<bool>());
    REQUIRE(pair->gather({1.0 * rank}) == (rank < 2 ? std::vector<double>{0, 1} : std::vector<double>{2}));
  }
}

}  // namespace

TEST_CASE("collectives rank", "[.][job]") {
  if (!std::getenv("WORLD_SIZE")) SKIP("started by other tests only");
  const std::string what = std::getenv("RETRACE_TEST_COLLECTIVES");
  int status = 0;
  try {
    World world(read_launch_env(), 3);
    if (what == "all") use_all(world);
    if (what == "silence" && world.rank() != 1) world.collectives().barrier();
    if (what == "silence" && world.rank() == 1) ::sleep(30);
    if (what == "part" && world.rank() == 2) ::sleep(30);
    if (what == "part") world.collectives().subgroup({0, 1, 2})->barrier();
    if (what == "exit" && world.rank() == 1) ::_exit(0);
    if (what == "exit") world.collectives().barrier();
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    status = error.status();
  }
  ::_exit(status);
}

TEST_CASE("collectives of three processes", "[dist]") {
  ::setenv("RETRACE_TEST_COLLECTIVES", "all", 1);
  REQUIRE(launch_ranks({"tests_train", "collectives rank"}, 3, 5) == 0);
}

TEST_CASE("a rank that lives but does not come, or ends too early, ends the job", "[fault]") {
  for (const char* what : {"silence", "part", "exit"}) {
    ::setenv("RETRACE_TEST_COLLECTIVES", what, 1);
    REQUIRE(launch_ranks({"tests_train", "collectives rank"}, 3, 2) == 75);
  }
}

namespace {

// A transfer whose wait ends by impatience `timeouts` times; it is done (or has failed) by the time that one
// looks again after the last of them.
class SlowWork : public c10d::Work {
 public:
  SlowWork(int timeouts, bool fails) : timeouts_(timeouts), fails_(fails) {}
  bool isCompleted() override { return waits_ >= timeouts_; }
  bool wait(std::chrono::milliseconds patience) override {
    if (patience.count() > 0 && waits_++ < timeouts_) throw std::runtime_error("Operation timed out!");
    if (fails_) throw std::runtime_error("connection closed");
    return true;
  }

 private:
  int timeouts_, waits_ = 0;
  bool fails_;
};

}  // namespace

TEST_CASE("a transfer that ends just after one's patience did is no failure", "[unit]") {
  for (int timeouts : {0, 1, 3}) {
    SlowWork done(timeouts, false), failed(timeouts, true);
    int looked = 0;
    wait_patiently(done, std::chrono::milliseconds(1), [&] { ++looked; });
    REQUIRE(looked == std::max(0, timeouts - 1));
    try {
      wait_patiently(failed, std::chrono::milliseconds(1), [] {});
      FAIL("a failed transfer was taken for a good one");
    } catch (const std::runtime_error& problem) {
      REQUIRE(std::string(problem.what()) == "connection closed");
    }
  }
}
