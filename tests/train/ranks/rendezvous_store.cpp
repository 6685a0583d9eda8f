// Ranks that find one another on a store, whatever earlier attempts have left there.
#include "train/ranks/rendezvous.h"

#include <catch2/catch_test_macros.hpp>
#include <future>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "core/error.h"
#include "core/process/process.h"
#include "train/ranks/network_address.h"
#include "train/ranks/tcp_coordinator.h"

using namespace retrace;
using namespace retrace::train;

namespace {

struct Store {
  int port = free_port();
  std::shared_ptr<c10d::Store> server = connect_store({"127.0.0.1", port, true, 20});

  std::vector<std::future<Rendezvous>> start(const std::vector<int>& ranks, int size,
                                             double timeout_s) const {
    std::vector<std::future<Rendezvous>> calls;
    for (const int rank : ranks)
      calls.push_back(std::async(std::launch::async, [=, port = port] {
        const auto store = connect_store({"127.0.0.1", port, false, 20});
        return join_rendezvous(*store, "job/", rank, size, "127.0.0.1", timeout_s);
      }));
    return calls;
  }
};

}  // namespace

TEST_CASE("rendezvous: all ranks of an attempt get one name, the next attempt another", "[unit]") {
  const Store store;
  std::vector<std::string> names;
  // The members change from attempt to attempt; what earlier ones left stands on the store.
  for (const int size : {3, 3, 2, 4}) {
    std::vector<int> ranks;
    for (int r = size - 1; r >= 0; --r) ranks.push_back(r);
    auto calls = store.start(ranks, size, 20);
    const Rendezvous first = calls.front().get();
    REQUIRE(first.address == "127.0.0.1");
    for (size_t i = 1; i < calls.size(); ++i) REQUIRE(calls[i].get().attempt == first.attempt);
    for (const std::string& name : names) REQUIRE(name != first.attempt);
    names.push_back(first.attempt);
  }
}

TEST_CASE("rendezvous: every rank that came is told who did not", "[unit]") {
  const Store store;
  for (auto& [ranks, missing] :
       std::vector<std::pair<std::vector<int>, std::string>>{{{0, 2}, "rank 1 did not join within 0.5 s"},
                                                             {{0}, "ranks 1, 2 did not join within 0.5 s"},
                                                             {{1, 2}, "rank 0 did not join within 0.5 s"}}) {
    auto calls = store.start(ranks, 3, 0.5);
    for (auto& call : calls) {
      try {
        call.get();
        FAIL("a rank found itself complete");
      } catch (const Error& error) {
        REQUIRE(error.code() == Code::distributed);
        REQUIRE(error.message() == missing);
      }
    }
  }
}

TEST_CASE("rendezvous: the address that leads to a host", "[unit]") {
  REQUIRE(address_towards("127.0.0.1") == "127.0.0.1");
  REQUIRE(is_loopback(address_towards("localhost")));
  REQUIRE(address_towards("no-such-host.invalid").empty());
  REQUIRE_FALSE(is_loopback("10.0.0.1"));
  REQUIRE_FALSE(is_loopback(""));
}
