#include "model/endpoint/admission.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "model/endpoint/http_rules.h"

namespace retrace::model {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLongestBackoffS = 8, kDecrease = 0.75;
constexpr int kIncreaseAfter = 25;  // good answers in a row
constexpr int kFailuresInARow = 3;  // of connections, until the endpoint rests

Clock::time_point later(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

Admission::Admission(AdmissionOptions options) : options_(options), endpoints_(options.endpoints) {
  for (Endpoint& e : endpoints_) e.limit = static_cast<double>(options_.max_in_flight);
}

std::optional<size_t> Admission::enter(const std::vector<bool>& given_up) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    const size_t at = (turn_ + i) % endpoints_.size();
    Endpoint& e = endpoints_[at];
    if (given_up[at] || Clock::now() < e.not_before || e.under_way >= static_cast<int64_t>(e.limit)) continue;
    turn_ = at + 1;
    ++e.under_way;
    return at;
  }
  return std::nullopt;
}

void Admission::leave(size_t endpoint) {
  const std::lock_guard lock(mutex_);
  --endpoints_[endpoint].under_way;
}

double Admission::rest_s(const std::vector<bool>& given_up) const {
  const std::lock_guard lock(mutex_);
  double least = kLongestBackoffS;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    if (given_up[i]) continue;
    const std::chrono::duration<double> left = endpoints_[i].not_before - Clock::now();
    least = std::min(least, std::max(0.0, left.count()));
  }
  return least;
}

void Admission::went_well(size_t endpoint) {
  const std::lock_guard lock(mutex_);
  Endpoint& e = endpoints_[endpoint];
  e.failures = 0;
  if (++e.good < kIncreaseAfter) return;
  e.good = 0;
  e.limit = std::min(static_cast<double>(options_.max_in_flight), e.limit + 1);
}

double Admission::backoff_s(int64_t tries) {
  const double base =
      std::min(kLongestBackoffS, options_.backoff_s * std::pow(2.0, static_cast<double>(tries)));
  const auto stream = static_cast<uint64_t>(Clock::now().time_since_epoch().count());
  return base * (1 - 0.25 * Random(stream, ++draws_).uniform());
}

double Admission::failed(size_t endpoint, const HttpResult& result, int64_t tries) {
  const std::lock_guard lock(mutex_);
  Endpoint& e = endpoints_[endpoint];
  const auto asked = retry_after_s(result);
  e.good = 0;
  // One wave of refusals or cuts is one sign: what was sent before it says nothing new.
  const bool busy = result.failure == HttpFailure::none && (result.status == 429 || result.status == 503);
  if (busy) {
    if (Clock::now() >= e.not_before) e.limit = std::max(1.0, e.limit * kDecrease);
    e.not_before = later(std::min(options_.max_wait_s, asked.value_or(options_.cool_down_s)));
  } else if (result.failure != HttpFailure::none && Clock::now() >= e.not_before) {
    const bool down = result.failure == HttpFailure::refused || e.failures >= kFailuresInARow;
    if (down) e.not_before = later(backoff_s(e.failures));
    ++e.failures;
  }
  return asked ? std::min(options_.max_wait_s, *asked) : backoff_s(tries);
}

int Admission::failures_in_a_row(size_t endpoint) const {
  const std::lock_guard lock(mutex_);
  return endpoints_[endpoint].failures;
}

}  // namespace retrace::model
