#include "data/mixture/schedule.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>

#include "core/error.h"

namespace retrace::data {

namespace {

constexpr int64_t kMaxPeriod = int64_t{1} << 20;
constexpr size_t kMaxDomains = 4096;

// Quotas if all weights are decimal fractions with few digits; empty if not.
std::vector<int64_t> exact_quotas(const std::vector<double>& weights) {
  for (double scale = 1; scale <= 1e6; scale *= 10) {
    std::vector<int64_t> quotas;
    double sum = 0;
    for (double weight : weights) {
      const double scaled = weight * scale, whole = std::round(scaled);
      if ((weight > 0 && whole == 0) || whole > 1e12 ||
          std::abs(scaled - whole) > 1e-9 * std::max(1.0, whole))
        break;
      quotas.push_back(static_cast<int64_t>(whole));
      sum += whole;
    }
    if (quotas.size() != weights.size() || sum == 0) continue;
    int64_t divisor = 0;
    for (int64_t quota : quotas) divisor = std::gcd(divisor, quota);
    if (sum / static_cast<double>(divisor) > static_cast<double>(kMaxPeriod)) continue;
    for (int64_t& quota : quotas) quota /= divisor;
    return quotas;
  }
  return {};
}

// Largest remainders over 2^20; a domain with a weight keeps at least one place.
std::vector<int64_t> rounded_quotas(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> quotas(weights.size());
  std::vector<std::pair<double, size_t>> remainders;
  int64_t left = kMaxPeriod;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double share = weights[i] / sum * static_cast<double>(kMaxPeriod);
    quotas[i] = static_cast<int64_t>(share);
    if (weights[i] > 0 && quotas[i] == 0) quotas[i] = 1;
    left -= quotas[i];
    remainders.emplace_back(static_cast<double>(quotas[i]) - share, i);
  }
  std::sort(remainders.begin(), remainders.end());
  for (size_t i = 0; left > 0; i = (i + 1) % remainders.size())
    if (weights[remainders[i].second] > 0) {
      ++quotas[remainders[i].second];
      --left;
    }
  for (; left < 0; ++left) --*std::max_element(quotas.begin(), quotas.end());
  return quotas;
}

}  // namespace

std::vector<int64_t> whole_quotas(const std::vector<double>& weights) {
  bool any = false;
  for (double weight : weights) {
    if (!std::isfinite(weight) || weight < 0)
      fail(Code::recipe, "mixture weight {} is not a number from 0 up", weight);
    any = any || weight > 0;
  }
  if (!any || weights.size() > kMaxDomains)
    throw Error(Code::recipe,
                fmt::format("a mixture of {} domains without any weight, or too many", weights.size()),
                "give at least one domain a weight above 0");
  std::vector<int64_t> quotas = exact_quotas(weights);
  return quotas.empty() ? rounded_quotas(weights) : quotas;
}

ShareSchedule::ShareSchedule(const std::vector<double>& weights) : quotas_(whole_quotas(weights)) {
  lay_out();
}

void ShareSchedule::lay_out() {
  using Wide = __int128;
  const int64_t period = std::accumulate(quotas_.begin(), quotas_.end(), int64_t{0});
  int64_t domains = 0;
  for (int64_t quota : quotas_) domains += quota > 0;
  const int64_t m = std::max<int64_t>(2 * domains - 2, 1);
  std::vector<int64_t> count(quotas_.size(), 0);
  // A domain may take its turn x + 1 from the first n with m (q n - D x) >= D on; it is due at the n where
  // q n - D x reaches D (m - 1) / m: order by (D (m x + m - 1)) / (m q).
  struct Turn {
    int64_t numerator, quota;
    uint16_t domain;
    bool operator<(const Turn& other) const {  // a max-heap: the earliest on top
      const Wide mine = Wide(numerator) * other.quota, theirs = Wide(other.numerator) * quota;
      return mine != theirs ? mine > theirs : domain > other.domain;
    }
  };
  auto release = [&](size_t d) {  // first n at which it may
    const Wide need = Wide(period) * (Wide(m) * count[d] + 1), step = Wide(m) * quotas_[d];
    return static_cast<int64_t>((need + step - 1) / step);
  };
  std::priority_queue<std::pair<int64_t, size_t>, std::vector<std::pair<int64_t, size_t>>, std::greater<>>
      waiting;
  std::priority_queue<Turn> ready;
  for (size_t d = 0; d < quotas_.size(); ++d)
    if (quotas_[d] > 0) waiting.emplace(release(d), d);
  domain_.reserve(static_cast<size_t>(period));
  ordinal_.reserve(static_cast<size_t>(period));
  for (int64_t n = 1; n <= period; ++n) {
    while (!waiting.empty() && waiting.top().first <= n) {
      const size_t d = waiting.top().second;
      waiting.pop();
      ready.push({m * count[d] + m - 1, quotas_[d], static_cast<uint16_t>(d)});
    }
    ensure(!ready.empty(), "a domain may take every turn");
    const size_t d = ready.top().domain;
    ready.pop();
    domain_.push_back(static_cast<uint16_t>(d));
    ordinal_.push_back(static_cast<uint32_t>(count[d]));
    if (++count[d] < quotas_[d]) waiting.emplace(release(d), d);
  }
  ensure(count == quotas_, "a period holds every quota");
}

ShareSchedule::Place ShareSchedule::at(int64_t place) const {
  const int64_t round = place / period();
  const auto in_period = static_cast<size_t>(place % period());
  const int domain = domain_[in_period];
  return {domain, round * quotas_[static_cast<size_t>(domain)] + ordinal_[in_period]};
}

}  // namespace retrace::data
