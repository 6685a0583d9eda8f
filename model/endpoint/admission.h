// How many requests each server of one model takes at once, learnt from its answers by additive increase and
// multiplicative decrease, and when one that is busy or away may be asked again. Shared by all threads of a
// rank that ask these servers.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "core/net/http.h"

namespace retrace::model {

struct AdmissionOptions {
  size_t endpoints = 0;
  int64_t max_in_flight = 32;  // where each begins, and what it never passes
  double backoff_s = 0.5, cool_down_s = 2, max_wait_s = 60;
};

class Admission {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Admission(AdmissionOptions options);

  // The next in turn that takes a request now, and is not `given_up`; it has one more under way then, until
  // leave(). nullopt where none does.
  std::optional<size_t> enter(const std::vector<bool>& given_up);
  void leave(size_t endpoint);
  // At least how long until enter() may give one of those not given up, in s; 0 where another thread's leave
  // is what it waits for.
  double rest_s(const std::vector<bool>& given_up) const;

  void went_well(size_t endpoint);
  // A request failed for the tries-th time (from 0): how long it rests, in s, by the server's own word where
  // it said one.
  double failed(size_t endpoint, const HttpResult& result, int64_t tries);
  int failures_in_a_row(size_t endpoint) const;  // of the connection

 private:
  struct Endpoint {
    double limit = 1;
    int64_t under_way = 0;
    int good = 0, failures = 0;  // in a row
    Time not_before{};
  };
  double backoff_s(int64_t tries);

  const AdmissionOptions options_;
  mutable std::mutex mutex_;
  std::vector<Endpoint> endpoints_;
  size_t turn_ = 0;
  uint64_t draws_ = 0;
};

}  // namespace retrace::model
