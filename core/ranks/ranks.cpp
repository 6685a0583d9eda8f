#include "core/ranks/ranks.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace retrace {

namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Json error_json(Code code, const std::string& message, const std::string& hint, const std::string& where,
                int signal) {
  Json out;
  out["code"] = static_cast<int>(code);
  out["message"] = message;
  out["hint"] = hint;
  out["where"] = where;
  out["signal"] = signal;
  return out;
}

std::string rank_list(const std::vector<int>& ranks) {
  std::vector<std::string> names;
  for (int rank : ranks) names.push_back(std::to_string(rank));
  return (ranks.size() == 1 ? "rank " : "ranks ") + join(names, ", ");
}

[[noreturn]] void fail_missing(const std::string& key, const std::string& missing, double timeout_s) {
  throw Error(Code::distributed,
              fmt::format("{} did not come to '{}' within {:.0f} s", missing, key, timeout_s),
              "look at that rank's own messages; run.timeout_s is how long ranks wait for one another");
}

}  // namespace

std::string current_error_json() {
  try {
    throw;
  } catch (const Error& error) {
    return to_text(error_json(error.code(), error.message(), error.hint(), error.where(), error.signal));
  } catch (const std::exception& error) {
    return to_text(error_json(Code::internal, error.what(), "", "", 0));
  } catch (...) {
    return to_text(error_json(Code::internal, "internal error of an unknown kind", "", "", 0));
  }
}

void publish_outcome(const Ranks& ranks, const std::string& key, const std::string& error_text) {
  ranks.coordinator->set("outcome/" + key, error_text);
}

void await_outcome(const Ranks& ranks, const std::string& key, double timeout_s) {
  std::string text;
  try {
    text = ranks.coordinator->wait("outcome/" + key, timeout_s);
  } catch (const Error& error) {
    if (error.code() != Code::distributed) throw;
    throw Error(Code::distributed, fmt::format("rank 0 did not finish '{}' within {:.0f} s", key, timeout_s),
                "look at rank 0's own messages; run.timeout_s is how long ranks wait for one another");
  }
  if (text.empty()) return;
  const Json json = parse_json(text, "outcome of " + key);
  const int code = get<int>(json, "code", key);
  ensure(code >= 0 && code <= static_cast<int>(Code::interrupted), "an outcome carries a known code");
  Error error(static_cast<Code>(code), get<std::string>(json, "message", key),
              get<std::string>(json, "hint", key), get<std::string>(json, "where", key));
  error.signal = get<int>(json, "signal", key);
  throw error;
}

// Rank 0 gathers the arrivals and publishes who is missing ("" = nobody), so that all ranks report the same.
void meet(const Ranks& ranks, const std::string& key, double timeout_s) {
  if (ranks.size == 1) return;
  Coordinator& store = *ranks.coordinator;
  const std::string here = "meet/" + key + "/", verdict = here + "verdict";
  const double end_s = now_s() + timeout_s;
  const auto arrival = [&](int rank) { return here + std::to_string(rank); };
  store.set(arrival(ranks.rank), "1");
  if (ranks.first()) {
    std::vector<int> missing;
    for (int rank = 1; rank < ranks.size; ++rank) {
      try {
        store.wait(arrival(rank), std::max(0.0, end_s - now_s()));
      } catch (const Error& error) {
        if (error.code() != Code::distributed) throw;
        missing.push_back(rank);
      }
    }
    const std::string text = missing.empty() ? "" : rank_list(missing);
    store.set(verdict, text);
    if (!missing.empty()) fail_missing(key, text, timeout_s);
    return;
  }
  constexpr double kVerdictGrace_s = 2;  // rank 0 may have begun to wait a little later
  std::string text;
  try {
    text = store.wait(verdict, timeout_s + kVerdictGrace_s);
  } catch (const Error& error) {
    if (error.code() != Code::distributed) throw;
    std::vector<int> missing;
    for (int rank = 0; rank < ranks.size; ++rank)
      if (!store.get(arrival(rank))) missing.push_back(rank);
    fail_missing(key, missing.empty() ? "the verdict of rank 0" : rank_list(missing), timeout_s);
  }
  if (!text.empty()) fail_missing(key, text, timeout_s);
}

}  // namespace retrace
