#include "core/ranks/ranks.h"

#include <algorithm>

#include "core/clock.h"
#include "core/error.h"
#include "core/json.h"
#include "core/poll.h"
#include "core/text.h"

namespace retrace {

namespace {

// Coordinator::wait, with while_waiting.
std::string wait_for_key(const Ranks& ranks, const std::string& key, double timeout_s) {
  Coordinator& store = *ranks.coordinator;
  if (!ranks.while_waiting) return store.wait(key, timeout_s);
  const auto value = poll_until({.timeout_s = timeout_s}, [&] {
    auto found = store.get(key);
    if (!found) ranks.while_waiting();
    return found;
  });
  return value ? *value : store.wait(key, 0);  // which fails in the store's own words
}

std::string key_of_rank(const std::string& key, int rank) {
  return fmt::format("{}/{}", key, rank);
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

[[noreturn]] void fail_missing(const std::string& key, const std::string& missing, double timeout_s) {
  throw Error(Code::distributed,
              fmt::format("{} did not come to '{}' within {:.0f} s", missing, key, timeout_s),
              "look at that rank's own messages; run.timeout_s is how long ranks wait for one another");
}

// The exception under way, for raise_outcome on another rank.
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

void raise_outcome(const std::string& text, const std::string& key) {
  if (text.empty()) return;
  const Json json = parse_json(text, "outcome of " + key);
  const int code = get<int>(json, "code", key);
  ensure(code >= 0 && code <= static_cast<int>(Code::interrupted), "an outcome carries a known code");
  Error error(static_cast<Code>(code), get<std::string>(json, "message", key),
              get<std::string>(json, "hint", key), get<std::string>(json, "where", key));
  error.signal = get<int>(json, "signal", key);
  throw error;
}

std::string await_outcome(const Ranks& ranks, const std::string& key, double timeout_s) {
  try {
    return wait_for_key(ranks, "outcome/" + key, timeout_s);
  } catch (const Error& error) {
    if (error.code() != Code::distributed) throw;
    throw Error(Code::distributed, fmt::format("rank 0 did not finish '{}' within {:.0f} s", key, timeout_s),
                "look at rank 0's own messages; run.timeout_s is how long ranks wait for one another");
  }
}

}  // namespace

void first_rank_does(const Ranks& ranks, const std::string& key, double timeout_s,
                     const std::function<void()>& work) {
  if (ranks.size == 1) return work();
  if (!ranks.first()) return raise_outcome(await_outcome(ranks, key, timeout_s), key);
  const auto publish = [&](const std::string& outcome) { ranks.coordinator->set("outcome/" + key, outcome); };
  try {
    work();
  } catch (...) {
    publish(current_error_json());
    throw;
  }
  publish("");
}

std::string broadcast_text(const Ranks& ranks, const std::string& key, double timeout_s,
                           const std::function<std::string()>& make) {
  if (!ranks.first()) return wait_for_key(ranks, key, timeout_s);
  std::string text = make();
  if (ranks.size > 1) ranks.coordinator->set(key, text);
  return text;
}

std::vector<std::string> gather_texts_on_first(const Ranks& ranks, const std::string& key, double timeout_s,
                                               const std::string& mine) {
  if (!ranks.first()) {
    ranks.coordinator->set(key_of_rank(key, ranks.rank), mine);
    return {};
  }
  std::vector<std::string> texts = {mine};
  for (int r = 1; r < ranks.size; ++r) texts.push_back(wait_for_key(ranks, key_of_rank(key, r), timeout_s));
  return texts;
}

std::vector<std::string> gather_texts(const Ranks& ranks, const std::string& key, double timeout_s,
                                      const std::string& mine) {
  if (ranks.size == 1) return {mine};
  ranks.coordinator->set(key_of_rank(key, ranks.rank), mine);
  std::vector<std::string> texts;
  for (int r = 0; r < ranks.size; ++r) texts.push_back(wait_for_key(ranks, key_of_rank(key, r), timeout_s));
  return texts;
}

std::string first_failure(const Ranks& ranks, const std::string& key, double timeout_s,
                          const std::string& mine) {
  for (const std::string& text : gather_texts(ranks, key, timeout_s, mine))
    if (!text.empty()) return text;
  return "";
}

std::string find_disagreement(const Ranks& ranks, const std::string& key, double timeout_s,
                              const std::map<std::string, std::string>& facts) {
  if (ranks.size == 1) return "";
  const std::vector<std::string> texts = gather_texts_on_first(ranks, key, timeout_s, to_text(Json(facts)));
  return broadcast_text(ranks, key + "/verdict", timeout_s, [&] {
    std::string differences;
    for (int r = 1; r < ranks.size; ++r) {
      const Json json = parse_json(texts[static_cast<size_t>(r)], "agreement");
      const auto theirs = json.get<std::map<std::string, std::string>>();
      for (const auto& [name, value] : facts) {
        const auto found = theirs.find(name);
        if (found != theirs.end() && found->second == value) continue;
        differences += fmt::format("{}rank {} has another {}", differences.empty() ? "" : "; ", r, name);
      }
    }
    return differences;
  });
}

std::string rank_names(const std::vector<int>& ranks) {
  std::vector<std::string> names;
  for (int rank : ranks) names.push_back(std::to_string(rank));
  return (ranks.size() == 1 ? "rank " : "ranks ") + join(names, ", ");
}

// Rank 0 gathers the arrivals and publishes who is missing ("" = nobody), so that all ranks report the same.
void meet(const Ranks& ranks, const std::string& key, double timeout_s) {
  if (ranks.size == 1) return;
  Coordinator& store = *ranks.coordinator;
  const std::string here = "meet/" + key + "/", verdict = here + "verdict";
  const auto start = Clock::now();
  const auto arrival = [&](int rank) { return here + std::to_string(rank); };
  store.set(arrival(ranks.rank), "1");
  if (ranks.first()) {
    std::vector<int> missing;
    for (int rank = 1; rank < ranks.size; ++rank) {
      try {
        wait_for_key(ranks, arrival(rank), std::max(0.0, timeout_s - elapsed_s(start)));
      } catch (const Error& error) {
        if (error.code() != Code::distributed) throw;
        missing.push_back(rank);
      }
    }
    const std::string text = missing.empty() ? "" : rank_names(missing);
    store.set(verdict, text);
    if (!missing.empty()) fail_missing(key, text, timeout_s);
    return;
  }
  constexpr double kVerdictGrace_s = 2;  // rank 0 may have begun to wait a little later
  std::string text;
  try {
    text = wait_for_key(ranks, verdict, timeout_s + kVerdictGrace_s);
  } catch (const Error& error) {
    if (error.code() != Code::distributed) throw;
    std::vector<int> missing;
    for (int rank = 0; rank < ranks.size; ++rank)
      if (!store.get(arrival(rank))) missing.push_back(rank);
    fail_missing(key, missing.empty() ? "the verdict of rank 0" : rank_names(missing), timeout_s);
  }
  if (!text.empty()) fail_missing(key, text, timeout_s);
}

}  // namespace retrace
