#include "synth/endpoint/budget.h"

#include <charconv>

#include "core/error.h"

namespace retrace::synth {

namespace {

std::string to_count(const Usage& usage) {
  return fmt::format("{} {}", usage.prompt_tokens, usage.completion_tokens);
}

Usage from_count(const std::string& text) {
  Usage out;
  const char *at = text.data(), *end = at + text.size();
  const auto first = std::from_chars(at, end, out.prompt_tokens);
  ensure(first.ec == std::errc() && first.ptr != end, "a count has two numbers");
  const auto second = std::from_chars(first.ptr + 1, end, out.completion_tokens);
  ensure(second.ec == std::errc(), "a count has two numbers");
  return out;
}

}  // namespace

double BudgetLimits::cost_usd(const Usage& usage) const {
  return (static_cast<double>(usage.prompt_tokens) * usd_per_million_input +
          static_cast<double>(usage.completion_tokens) * usd_per_million_output) /
         1e6;
}

Budget::Budget(BudgetLimits limits, Coordinator* coordinator, std::string key)
    : limits_(limits), coordinator_(limits.any() ? coordinator : nullptr), key_(std::move(key)) {}

void Budget::start(const Usage& already_spent) {
  if (coordinator_)
    coordinator_->set(key_, to_count(already_spent));
  else
    count_ = already_spent;
}

bool Budget::add(const Usage& change, bool checked) {
  for (;;) {
    const auto seen = coordinator_ ? coordinator_->get(key_) : std::nullopt;
    ensure(!coordinator_ || seen.has_value(), "a shared budget was started");
    Usage after = seen ? from_count(*seen) : count_;
    after += change;
    if (checked && ((limits_.tokens > 0 && after.total() > limits_.tokens) ||
                    (limits_.usd > 0 && limits_.cost_usd(after) > limits_.usd)))
      return false;
    if (!coordinator_) {
      count_ = after;
      return true;
    }
    if (coordinator_->compare_and_set(key_, seen, to_count(after))) return true;
  }
}

bool Budget::reserve(const Usage& most) {
  return !limits_.any() || add(most, true);
}

void Budget::settle(const Usage& reserved, const Usage& actual) {
  if (limits_.any())
    add({actual.prompt_tokens - reserved.prompt_tokens,
         actual.completion_tokens - reserved.completion_tokens},
        false);
}

std::string Budget::text() const {
  std::string out;
  if (limits_.tokens > 0) out = fmt::format("{} tokens", limits_.tokens);
  if (limits_.usd > 0) out += fmt::format("{}{} USD", out.empty() ? "" : " and ", limits_.usd);
  return out;
}

}  // namespace retrace::synth
