#include "core/failpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <mutex>
#include <optional>

#include "core/error.h"
#include "core/text.h"

namespace retrace {

namespace {

enum class Action { kill, throw_error, stop, enospc };

struct Point {
  std::string name;
  std::optional<int64_t> rank, step;  // none = any
  Action action = Action::kill;
};

std::mutex mutex;
std::vector<Point> points;
int own_rank = 0;
std::atomic<bool> armed{false};

std::optional<int64_t> number_or_any(std::string_view text, const std::string& spec) {
  if (text.empty() || text == "*") return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw Error(Code::recipe, fmt::format("'{}' is no rank or step in failpoint '{}'", text, spec),
                "the form is name[:rank[:step[:kill|throw|stop|enospc]]]", "debug.fail_at");
  return value;
}

Action parse_action(std::string_view text) {
  if (text == "kill") return Action::kill;
  if (text == "throw") return Action::throw_error;
  if (text == "stop") return Action::stop;
  if (text == "enospc") return Action::enospc;
  throw Error(Code::recipe, fmt::format("unknown failpoint action '{}'", text),
              "one of kill, throw, stop, enospc", "debug.fail_at");
}

Point parse_point(std::string_view text) {
  const std::string spec(text);
  const std::vector<std::string_view> parts = split(text, ':');
  Point point;
  point.name = trim(parts[0]);
  const auto& names = failpoint_names();
  if (std::find(names.begin(), names.end(), point.name) == names.end())
    throw Error(Code::recipe, fmt::format("unknown failpoint '{}'", point.name),
                "known failpoints: " + join(names, ", "), "debug.fail_at");
  if (parts.size() > 4)
    throw Error(Code::recipe, fmt::format("failpoint '{}' has more than four parts", spec),
                "the form is name[:rank[:step[:kill|throw|stop|enospc]]]", "debug.fail_at");
  if (parts.size() > 1) point.rank = number_or_any(trim(parts[1]), spec);
  if (parts.size() > 2) point.step = number_or_any(trim(parts[2]), spec);
  if (parts.size() > 3) point.action = parse_action(trim(parts[3]));
  return point;
}

void act(const Point& point, const char* name, int64_t step) {
  switch (point.action) {
    case Action::kill:
      ::raise(SIGKILL);
      return;
    case Action::stop:
      ::raise(SIGSTOP);
      return;
    case Action::throw_error:
      throw Error(Code::internal, fmt::format("failpoint '{}' at step {}", name, step),
                  "debug.fail_at asked for it");
    case Action::enospc:
      throw Error(Code::io, fmt::format("failpoint '{}' at step {}: no space left on device", name, step),
                  "debug.fail_at asked for it");
  }
}

}  // namespace

const std::vector<std::string>& failpoint_names() {
  static const std::vector<std::string> names = {"before_shards",   "mid_shard",     "after_shards",
                                                 "before_manifest", "mid_manifest",  "before_rename",
                                                 "after_rename",    "before_latest", "during_purge"};
  return names;
}

void arm_failpoints(const std::string& spec, int rank) {
  std::vector<Point> parsed;
  if (!trim(spec).empty())
    for (std::string_view text : split(spec, ',')) parsed.push_back(parse_point(text));
  std::lock_guard lock(mutex);
  points = std::move(parsed);
  own_rank = rank;
  armed = !points.empty();
}

void failpoint(const char* name, int64_t step) {
  if (!armed.load(std::memory_order_relaxed)) return;
  std::optional<Point> hit;
  {
    std::lock_guard lock(mutex);
    for (const Point& point : points) {
      if (point.name == name && point.rank.value_or(own_rank) == own_rank &&
          point.step.value_or(step) == step) {
        hit = point;
        break;
      }
    }
  }
  if (hit) act(*hit, name, step);
}

}  // namespace retrace
