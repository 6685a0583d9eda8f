// Which domain stands at each place of an endless sequence, so that every prefix keeps every share.
//
// Weights become whole quotas q_i of a period D (exactly, if they are fractions with a small common
// denominator; else rounded to D = 2^20). One period is laid out by Tijdeman's algorithm for the chairman
// assignment problem (Discrete Mathematics 32, 1980): at place n, of the domains with q_i n - D x_i >= D /
// (2K - 2) (x_i = count so far) the one whose next turn is due first. Every count then stays within 1 - 1/(2K
// - 2) of n q_i / D at every n, and equals q_i after a period, so the place of any n needs no history.
#pragma once

#include <cstdint>
#include <vector>

namespace retrace::data {

class ShareSchedule {
 public:
  // Non-negative finite weights, not all 0. Error{recipe} otherwise.
  explicit ShareSchedule(const std::vector<double>& weights);
  struct Place {
    int domain;
    int64_t ordinal;  // how many places of this domain come before
  };
  Place at(int64_t place) const;  // O(1)
  int64_t period() const { return static_cast<int64_t>(domain_.size()); }
  const std::vector<int64_t>& quotas() const { return quotas_; }

 private:
  void lay_out();
  std::vector<int64_t> quotas_;
  std::vector<uint16_t> domain_;   // by place in the period
  std::vector<uint32_t> ordinal_;  // within the period
};

// Whole quotas in the proportion of the weights, with greatest common divisor 1 and sum at most 2^20.
std::vector<int64_t> whole_quotas(const std::vector<double>& weights);

}  // namespace retrace::data
