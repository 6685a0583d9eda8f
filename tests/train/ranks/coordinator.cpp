// The coordinator over a TCPStore that this process serves.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/process/process.h"
#include "train/ranks/tcp_coordinator.h"

using namespace retrace;
using namespace retrace::train;

namespace {

struct Served {
  std::shared_ptr<c10d::Store> server, client;
  std::unique_ptr<Coordinator> a, b;
  Served() {
    StoreAddress address{"127.0.0.1", free_port(), true, 10};
    server = connect_store(address);
    address.serve = false;
    client = connect_store(address);
    a = make_tcp_coordinator(server, "x/", 0);
    b = make_tcp_coordinator(client, "x/", 1);
  }
};

}  // namespace

TEST_CASE("TCP coordinator: values, absent keys, empty values", "[unit]") {
  Served store;
  REQUIRE_FALSE(store.b->get("k"));
  store.a->set("k", "");
  REQUIRE(store.b->get("k") == "");
  store.b->set("k", std::string("a\0|b", 4));
  REQUIRE(store.a->get("k") == std::string("a\0|b", 4));
  REQUIRE(store.a->wait("k", 1).size() == 4);
  const auto start = std::chrono::steady_clock::now();
  REQUIRE_THROWS_AS(store.a->wait("never", 0.2), Error);
  REQUIRE(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
}

TEST_CASE("TCP coordinator: compare-and-set is true for one writer only", "[unit]") {
  Served store;
  REQUIRE(store.a->compare_and_set("n", std::nullopt, "0"));
  REQUIRE_FALSE(store.b->compare_and_set("n", std::nullopt, "0"));
  REQUIRE_FALSE(store.b->compare_and_set("n", "1", "0"));
  constexpr int kEach = 50;
  const auto count = [](Coordinator& c) {
    for (int done = 0; done < kEach;) {
      const int now = std::stoi(*c.get("n"));
      if (c.compare_and_set("n", std::to_string(now), std::to_string(now + 1))) ++done;
    }
  };
  std::thread other([&] { count(*store.b); });
  count(*store.a);
  other.join();
  REQUIRE(store.a->get("n") == std::to_string(2 * kEach));
}

TEST_CASE("TCP coordinator: leases are exclusive, renewed, released and expire", "[unit]") {
  Served store;
  REQUIRE(store.a->lease("job", "a", 30));
  REQUIRE_FALSE(store.b->lease("job", "b", 30));
  REQUIRE(store.a->lease("job", "a", 30));
  store.b->release("job", "b");
  REQUIRE_FALSE(store.b->lease("job", "b", 30));
  store.a->release("job", "a");
  REQUIRE(store.b->lease("job", "b", 0.4));
  REQUIRE_FALSE(store.a->lease("job", "a", 30));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  REQUIRE(store.b->lease("job", "b", 0.4));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  REQUIRE_FALSE(store.a->lease("job", "a", 30));  // renewed since
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  REQUIRE(store.a->lease("job", "a", 30));
  REQUIRE_FALSE(store.b->lease("job", "b", 0.4));
}

TEST_CASE("a store that nobody serves is an error that names it", "[unit]") {
  StoreAddress address{"127.0.0.1", free_port(), false, 1};
  try {
    connect_store(address);
    FAIL("connected to nothing");
  } catch (const Error& error) {
    REQUIRE(error.code() == Code::distributed);
    REQUIRE(std::string(error.what()).find(std::to_string(address.port)) != std::string::npos);
  }
}
