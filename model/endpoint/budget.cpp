#include "model/endpoint/budget.h"

#include <charconv>

#include "core/error.h"

namespace retrace::model {

double BudgetLimits::cost_usd(const Usage& usage) const {
  return (static_cast<double>(usage.prompt_tokens) * usd_per_million_input +
          static_cast<double>(usage.completion_tokens) * usd_per_million_output) /
         1e6;
}

Budget::Budget(BudgetLimits limits, Coordinator* coordinator, std::string key)
    : limits_(limits), coordinator_(limits.any() ? coordinator : nullptr), key_(std::move(key)) {}

std::string Budget::to_text(const Count& c) {
  return fmt::format("{} {} {} {}", c.spent.prompt_tokens, c.spent.completion_tokens,
                     c.reserved.prompt_tokens, c.reserved.completion_tokens);
}

Budget::Count Budget::from_text(const std::string& text) {
  Count out;
  const char *at = text.data(), *end = at + text.size();
  for (int64_t* number : {&out.spent.prompt_tokens, &out.spent.completion_tokens, &out.reserved.prompt_tokens,
                          &out.reserved.completion_tokens}) {
    const auto [stop, problem] = std::from_chars(at, end, *number);
    ensure(problem == std::errc(), "a count has four numbers");
    at = stop == end ? end : stop + 1;
  }
  return out;
}

void Budget::start(const Usage& already_spent) {
  const Count count = {already_spent, {}};
  if (coordinator_) return coordinator_->set(key_, to_text(count));
  const std::lock_guard lock(mutex_);
  count_ = count;
}

bool Budget::update(const std::function<bool(Count&)>& change) {
  if (!coordinator_) {
    const std::lock_guard lock(mutex_);
    return change(count_);
  }
  for (;;) {
    const auto seen = coordinator_->get(key_);
    ensure(seen.has_value(), "a shared budget was started");
    Count count = from_text(*seen);
    if (!change(count)) return false;
    if (coordinator_->compare_and_set(key_, seen, to_text(count))) return true;
  }
}

bool Budget::fits(const Usage& usage) const {
  return (limits_.tokens == 0 || usage.total() <= limits_.tokens) &&
         (limits_.usd <= 0 || limits_.cost_usd(usage) <= limits_.usd);
}

Budget::Room Budget::reserve(const Usage& most) {
  if (!limits_.any()) return Room::fits;
  Room room = Room::fits;
  update([&](Count& count) {
    Usage for_good = count.spent, all = count.spent;
    for_good += most;
    all += count.reserved;
    all += most;
    room = fits(all) ? Room::fits : fits(for_good) ? Room::later : Room::never;
    if (room == Room::fits) count.reserved += most;
    return room == Room::fits;
  });
  return room;
}

void Budget::settle(const Usage& reserved, const Usage& actual) {
  if (!limits_.any()) return;
  update([&](Count& count) {
    count.reserved += {-reserved.prompt_tokens, -reserved.completion_tokens};
    count.spent += actual;
    return true;
  });
}

std::string Budget::text() const {
  std::string out;
  if (limits_.tokens > 0) out = fmt::format("{} tokens", limits_.tokens);
  if (limits_.usd > 0) out += fmt::format("{}{} USD", out.empty() ? "" : " and ", limits_.usd);
  return out;
}

}  // namespace retrace::model
