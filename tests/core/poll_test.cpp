#include "core/poll.h"

#include <catch2/catch_test_macros.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

using namespace retrace;

TEST_CASE("poll: returns the first true answer, or a false one after the timeout", "[unit]") {
  int asked = 0;
  const auto third = [&]() -> std::optional<int> {
    if (++asked < 3) return std::nullopt;
    return asked;
  };
  REQUIRE(poll_until({}, third) == 3);
  REQUIRE_FALSE(poll_until({.timeout_s = 0.01}, [] { return false; }));
  asked = 0;
  REQUIRE_FALSE(poll_until({.timeout_s = 0}, third));
  REQUIRE(asked == 1);
  REQUIRE(poll_until({.timeout_s = 0}, [] { return true; }));
}

TEST_CASE("poll: pauses double from the first up to the longest", "[unit]") {
  std::vector<Clock::time_point> times;
  poll_until({.first_pause_s = 0.005, .longest_pause_s = 0.02}, [&] {
    times.push_back(Clock::now());
    return times.size() == 6;
  });
  const double least_ms[] = {5, 10, 20, 20, 20};  // a sleep may be longer, never shorter
  for (size_t i = 0; i < 5; ++i)
    REQUIRE(std::chrono::duration<double, std::milli>(times[i + 1] - times[i]).count() >= least_ms[i]);
}

TEST_CASE("poll: an exception of the question ends it; the deadline counts from the given start", "[unit]") {
  REQUIRE_THROWS_AS(poll_until({}, []() -> bool { throw std::runtime_error("stop"); }), std::runtime_error);
  int asked = 0;
  REQUIRE_FALSE(poll_until({.timeout_s = 5, .start = Clock::now() - std::chrono::seconds(6)}, [&] {
    ++asked;
    return false;
  }));
  REQUIRE(asked == 1);
}
