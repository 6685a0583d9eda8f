// A budget of tokens and money that stops before it is passed: a request is let through only if even its
// worst case fits beside all that is spent or under way, on every rank. Thread-safe.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "core/ranks/coordinator.h"
#include "model/endpoint/evidence.h"

namespace retrace::model {

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
  // fits: it is reserved. later: it would not fit beside what is under way here and on other ranks, but may
  // once that is settled. never: what is spent for good leaves no room for it.
  enum class Room { fits, later, never };
  Room reserve(const Usage& most);
  void settle(const Usage& reserved, const Usage& actual);
  std::string text() const;  // "1,000 tokens, 2.5 USD", for messages
  const BudgetLimits& limits() const { return limits_; }

 private:
  struct Count {
    Usage spent, reserved;
  };
  static std::string to_text(const Count& count);
  static Count from_text(const std::string& text);
  // Applies `change` to the count until nobody else changed it meanwhile; false from it leaves all as it is.
  bool update(const std::function<bool(Count&)>& change);
  bool fits(const Usage& usage) const;
  BudgetLimits limits_;
  Coordinator* coordinator_;
  std::string key_;
  std::mutex mutex_;  // guards count_
  Count count_;
};

}  // namespace retrace::model
