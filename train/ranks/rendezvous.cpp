#include "train/ranks/rendezvous.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "core/error.h"
#include "core/poll.h"
#include "core/ranks/ranks.h"
#include "train/ranks/network_address.h"
#include "train/ranks/tcp_coordinator.h"

namespace retrace::train {
namespace {

constexpr double kFirstPause_s = 0.001, kLongestPause_s = 0.1;
constexpr double kVerdictGrace_s = 2;  // rank 0 may have started its wait later
constexpr const char* kHint = "look at their messages; run.timeout_s is how long ranks wait for one another";

std::string fresh_nonce() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

class StoreRendezvous {
 public:
  StoreRendezvous(c10d::Store& store, const std::string& prefix, int rank, int size, double timeout_s)
      : store_(store), prefix_(prefix + "roll/"), rank_(rank), size_(size), timeout_s_(timeout_s) {}

  // The attempt, and an address that other machines reach one of ours by, "" if all are one machine.
  std::pair<std::string, std::string> call(const std::string& own_address) {
    return rank_ == 0 ? ask_all(own_address) : answer(own_address);
  }

 private:
  std::pair<std::string, std::string> ask_all(const std::string& own_address) {
    const std::string attempt = fresh_nonce();
    std::vector<std::string> nonces(static_cast<size_t>(size_)), addresses = nonces;
    std::vector<int> missing;
    for (int r = 1; r < size_; ++r) missing.push_back(r);
    poll_until(pauses(timeout_s_), [&] {
      for (const int r : missing) {
        const std::string nonce = value(fmt::format("hello/{}", r));
        auto& answered = nonces[static_cast<size_t>(r)];
        if (nonce.empty() || nonce == answered) continue;  // or what an earlier attempt left
        set("answer/" + nonce, attempt);
        answered = nonce;
      }
      std::erase_if(missing, [&](int r) {
        auto& address = addresses[static_cast<size_t>(r)];
        address = value(fmt::format("here/{}/{}", attempt, r));
        return !address.empty();
      });
      return missing.empty();
    });
    if (!missing.empty()) {
      const std::string names = rank_names(missing);
      set("end/" + attempt, "missing " + names);
      fail_missing(names);
    }
    addresses[0] = own_address;
    std::string reachable;
    for (const std::string& address : addresses)
      if (address.size() > 1 && !is_loopback(address)) reachable = address;
    set("end/" + attempt, "all " + reachable);
    return {attempt, reachable};
  }

  std::pair<std::string, std::string> answer(const std::string& own_address) {
    const std::string nonce = fresh_nonce();
    set(fmt::format("hello/{}", rank_), nonce);
    const std::string attempt = await("answer/" + nonce, "rank 0");
    // "-": no address, but present.
    set(fmt::format("here/{}/{}", attempt, rank_), own_address.empty() ? "-" : own_address);
    const std::string end = await("end/" + attempt, "the verdict of rank 0");
    const size_t space = end.find(' ');
    if (end.substr(0, space) != "all") fail_missing(end.substr(space + 1));
    return {attempt, end.substr(space + 1)};
  }

  [[noreturn]] void fail_missing(const std::string& names) const {
    throw Error(Code::distributed, fmt::format("{} did not join within {} s", names, timeout_s_), kHint,
                fmt::format("rank {}", rank_));
  }

  PollOptions pauses(double timeout_s) const { return {timeout_s, kFirstPause_s, kLongestPause_s, start_}; }

  template <class Work>
  auto guarded(Work work) -> decltype(work()) {
    try {
      return work();
    } catch (const std::exception& problem) {
      throw Error(Code::distributed,
                  fmt::format("rank 0, or the launcher that serves the job's store, went while ranks joined "
                              "({})",
                              c10d_message(problem.what())),
                  "start again", fmt::format("rank {}", rank_));
    }
  }

  void set(const std::string& key, const std::string& text) {
    guarded([&] { store_.set(prefix_ + key, text); });
  }

  std::string value(const std::string& key) {  // "": absent
    return guarded(
        [&] { return store_.check({prefix_ + key}) ? store_.get_to_str(prefix_ + key) : std::string(); });
  }

  std::string await(const std::string& key, const std::string& whom) {
    std::string text;
    const bool found = poll_until(pauses(timeout_s_ + kVerdictGrace_s), [&] {
      text = value(key);
      return !text.empty();
    });
    if (!found) fail_missing(whom);
    return text;
  }

  c10d::Store& store_;
  const std::string prefix_;
  const int rank_, size_;
  const double timeout_s_;
  const Clock::time_point start_ = Clock::now();
};

}  // namespace

Rendezvous join_rendezvous(c10d::Store& store, const std::string& prefix, int rank, int size,
                           const std::string& master, double timeout_s) {
  std::string own = address_towards(master);
  const auto [attempt, reachable] = StoreRendezvous(store, prefix, rank, size, timeout_s).call(own);
  // On the machine of the store its name may mean the loopback interface.
  if ((own.empty() || is_loopback(own)) && !reachable.empty()) own = address_towards(reachable);
  return {attempt, own};
}

}  // namespace retrace::train
