// A budget of tokens and money that stops before it is passed: a request is let through only if even its
// worst case fits beside all that is spent or under way, on every rank.
#pragma once

#include <string>

#include "core/coordinator.h"
#include "synth/endpoint/evidence.h"

namespace retrace::synth {

struct BudgetLimits {
  int64_t tokens = 0;  // 0 = none
  double usd = 0;      // 0 = none
  double usd_per_million_input = 0, usd_per_million_output = 0;
  bool any() const { return tokens > 0 || usd > 0; }
  double cost_usd(const Usage& usage) const;
};

class Budget {
 public:
  // With a coordinator the ranks share one count, kept under `key`, which start() must have set.
  Budget(BudgetLimits limits, Coordinator* coordinator, std::string key);
  void start(const Usage& already_spent);  // by one rank, before any other asks
  bool reserve(const Usage& most);         // false: it would not fit; nothing is reserved
  void settle(const Usage& reserved, const Usage& actual);
  std::string text() const;  // "1,000 tokens, 2.5 USD", for messages
  const BudgetLimits& limits() const { return limits_; }

 private:
  bool add(const Usage& change, bool checked);
  BudgetLimits limits_;
  Coordinator* coordinator_;
  std::string key_;
  Usage count_;
};

}  // namespace retrace::synth
