// The ranks of one job as the torch-free rooms see them (who am I, how many are we, a store to agree
// through), and every protocol by which they agree. All of these go through the store, never through a
// collective, so that a rank may run them on any thread.
//
// Every rank calls a function below with the same `key`, which is used once in a job. Each wait for another
// rank takes at most timeout_s; then it is Error{distributed}. One rank alone neither waits nor needs a
// store.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/ranks/coordinator.h"

namespace retrace {

struct Ranks {
  int rank = 0, size = 1;
  Coordinator* coordinator = nullptr;  // never null while size > 1
  // Called while this rank waits for another, at least every 50 ms. May throw to give the wait up.
  std::function<void()> while_waiting = nullptr;

  bool first() const { return rank == 0; }
};

// Rank 0 runs `work` while the others wait for it. If it throws, every rank throws the same Error.
void first_rank_does(const Ranks& ranks, const std::string& key, double timeout_s,
                     const std::function<void()>& work);

// Waits until every rank has come here. Error{distributed} names the ranks that are missing after timeout_s.
void meet(const Ranks& ranks, const std::string& key, double timeout_s);

// Rank 0 makes a text and every rank gets it. If making it throws, only rank 0 throws: the others time out.
std::string broadcast_text(const Ranks& ranks, const std::string& key, double timeout_s,
                           const std::function<std::string()>& make);

// The texts of all ranks in rank order: on rank 0 alone (empty on the others, which do not wait) ...
std::vector<std::string> gather_texts_on_first(const Ranks& ranks, const std::string& key, double timeout_s,
                                               const std::string& mine);
// ... and on every rank.
std::vector<std::string> gather_texts(const Ranks& ranks, const std::string& key, double timeout_s,
                                      const std::string& mine);

// The outcome of all: `mine` is "" or what went wrong on this rank; every rank gets the first by rank that is
// not "", and "" if all went well.
std::string first_failure(const Ranks& ranks, const std::string& key, double timeout_s,
                          const std::string& mine);

// Compares the facts of all ranks with rank 0's. On every rank "" if they are equal, else who differs in
// what: "rank 1 has another recipe; rank 2 has another recipe".
std::string find_disagreement(const Ranks& ranks, const std::string& key, double timeout_s,
                              const std::map<std::string, std::string>& facts);

std::string rank_names(const std::vector<int>& ranks);  // "rank 3", "ranks 1, 3"

}  // namespace retrace
