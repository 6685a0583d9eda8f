// Items are used in order whatever the threads, never more of them exist than there are places, and errors
// arrive.
#include "data/packing/ordered_work.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

using retrace::data::run_in_order;

namespace {

constexpr size_t kItems = 500, kSlots = 7;

// Squares of 0, 1, 2, ... as used; `bad` is the item whose work fails.
std::vector<size_t> squares(int threads, size_t bad = kItems) {
  std::vector<size_t> slots(kSlots), used;
  size_t made = 0;
  std::atomic<size_t> most{0};
  run_in_order(threads, kSlots,
               {[&](size_t slot) {
                  if (made == kItems) return false;
                  most = std::max<size_t>(most, made - used.size() + 1);
                  slots[slot] = made++;
                  return true;
                },
                [&](size_t slot) {
                  if (slots[slot] % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
                  if (slots[slot] == bad) throw std::runtime_error("bad item");
                  slots[slot] *= slots[slot];
                },
                [&](size_t slot) { used.push_back(slots[slot]); }});
  REQUIRE(most <= kSlots);
  return used;
}

}  // namespace

TEST_CASE("items worked on side by side are used in order", "[unit]") {
  const auto alone = squares(1);
  REQUIRE(alone.size() == kItems);
  for (size_t i = 0; i < kItems; ++i) REQUIRE(alone[i] == i * i);
  for (const int threads : {2, 3, 16}) REQUIRE(squares(threads) == alone);
}

TEST_CASE("an item's error ends the work and reaches the caller", "[unit]") {
  for (const int threads : {1, 4}) REQUIRE_THROWS_AS(squares(threads, 123), std::runtime_error);
}
