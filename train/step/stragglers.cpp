#include "train/step/stragglers.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace retrace::train {

Stragglers::Step Stragglers::add(const std::vector<double>& busy_s) {
  slowest_.resize(busy_s.size());
  work_s_.resize(busy_s.size());
  const auto worst = std::max_element(busy_s.begin(), busy_s.end());
  Step step;
  step.slowest = static_cast<int>(worst - busy_s.begin());
  step.slowest_s = *worst;
  step.mean_s = std::accumulate(busy_s.begin(), busy_s.end(), 0.0) / static_cast<double>(busy_s.size());
  ++slowest_[static_cast<size_t>(step.slowest)];
  for (size_t r = 0; r < busy_s.size(); ++r) {
    work_s_[r] += busy_s[r];
    waited_s_ += *worst - busy_s[r];
  }
  ++steps_;
  return step;
}

std::string Stragglers::report() const {
  if (steps_ == 0 || slowest_.size() < 2) return "";
  const auto worst = std::max_element(slowest_.begin(), slowest_.end());
  const auto rank = static_cast<size_t>(worst - slowest_.begin());
  const double all_s = std::accumulate(work_s_.begin(), work_s_.end(), 0.0);
  const double others_s = (all_s - work_s_[rank]) / static_cast<double>(work_s_.size() - 1);
  return fmt::format(
      "rank {} was the slowest in {} of {} steps, {:.3f} s of work a step against {:.3f} s of the others; "
      "ranks waited {:.1f} % of their time for the slowest of a step",
      rank, *worst, steps_, work_s_[rank] / static_cast<double>(steps_),
      others_s / static_cast<double>(steps_), 100 * waited_s_ / (all_s + waited_s_));
}

}  // namespace retrace::train
