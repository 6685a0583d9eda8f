// What a rank's threads know of servers together: how many requests each takes, and when it rests.
#include "model/endpoint/admission.h"

#include <thread>

#include "tests/shared.h"

using namespace retrace;
using namespace retrace::model;

namespace {

AdmissionOptions options() {
  AdmissionOptions o;
  o.endpoints = 2;
  o.max_in_flight = 8;
  o.backoff_s = 0.4;
  o.cool_down_s = 0.4;
  return o;
}

HttpResult with_status(int status) {
  HttpResult r;
  r.status = status;
  return r;
}

HttpResult with_failure(HttpFailure failure) {
  HttpResult r;
  r.failure = failure;
  return r;
}

// How many requests the servers take now, by server.
std::vector<int> fill(Admission& admission, const std::vector<bool>& given_up = {false, false}) {
  std::vector<int> taken(2, 0);
  while (const auto at = admission.enter(given_up)) ++taken[*at];
  return taken;
}

void leave_all(Admission& admission, const std::vector<int>& taken) {
  for (size_t at = 0; at < taken.size(); ++at)
    for (int i = 0; i < taken[at]; ++i) admission.leave(at);
}

void wait_for(const Admission& admission, const std::vector<bool>& given_up) {
  for (double rest_s = 0; (rest_s = admission.rest_s(given_up)) > 0;)
    std::this_thread::sleep_for(std::chrono::duration<double>(rest_s));
}

}  // namespace

TEST_CASE("admission: servers take turns up to their limits, and one given up takes nothing", "[unit]") {
  Admission admission(options());
  const std::vector<int> all = fill(admission);
  REQUIRE(all == std::vector<int>{8, 8});
  leave_all(admission, all);
  REQUIRE(fill(admission, {true, false}) == std::vector<int>{0, 8});
}

TEST_CASE("admission: a wave of 429 lowers a limit once, and good answers raise it by one", "[unit]") {
  Admission admission(options());
  leave_all(admission, fill(admission));
  for (int i = 0; i < 8; ++i) admission.failed(0, with_status(429), 0);
  REQUIRE(admission.rest_s({false, true}) > 0);
  REQUIRE(fill(admission, {false, true}) == std::vector<int>{0, 0});
  wait_for(admission, {false, true});
  std::vector<int> taken = fill(admission, {false, true});
  REQUIRE(taken == std::vector<int>{6, 0});
  leave_all(admission, taken);
  for (int i = 0; i < 25; ++i) admission.went_well(0);
  taken = fill(admission, {false, true});
  REQUIRE(taken == std::vector<int>{7, 0});
}

TEST_CASE("admission: a wave of cut connections counts as a few failures, however wide it is", "[unit]") {
  for (const HttpFailure failure : {HttpFailure::refused, HttpFailure::cut}) {
    Admission admission(options());
    for (int i = 0; i < 100; ++i) admission.failed(0, with_failure(failure), 0);
    const int first = admission.failures_in_a_row(0);
    REQUIRE(first >= 1);
    REQUIRE(first <= 4);
    wait_for(admission, {false, true});
    for (int i = 0; i < 100; ++i) admission.failed(0, with_failure(failure), 1);
    REQUIRE(admission.failures_in_a_row(0) == first + 1);
    REQUIRE(admission.failures_in_a_row(1) == 0);
    admission.went_well(0);
    REQUIRE(admission.failures_in_a_row(0) == 0);
  }
}
