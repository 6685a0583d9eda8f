// The ranks of one job as the torch-free rooms see them: who am I, how many are we, and a store to agree
// through.
#pragma once

#include "core/ranks/coordinator.h"

namespace retrace {

struct Ranks {
  int rank = 0, size = 1;
  Coordinator* coordinator = nullptr;  // never null while size > 1

  bool first() const { return rank == 0; }
};

// Rank 0 runs `work` while the others wait for it (through the store, not in a collective). If it throws,
// every rank throws the same Error. `key` names the piece of work and is used once in a job.
template <class Work>
void first_rank_does(const Ranks& ranks, const std::string& key, double timeout_s, Work work);

// Waits until every rank has come here. Error{distributed} names the ranks that are missing after timeout_s.
void meet(const Ranks& ranks, const std::string& key, double timeout_s);

void publish_outcome(const Ranks& ranks, const std::string& key, const std::string& error_json);
void await_outcome(const Ranks& ranks, const std::string& key, double timeout_s);
std::string current_error_json();

template <class Work>
void first_rank_does(const Ranks& ranks, const std::string& key, double timeout_s, Work work) {
  if (ranks.size == 1) {
    work();
    return;
  }
  if (!ranks.first()) {
    await_outcome(ranks, key, timeout_s);
    return;
  }
  try {
    work();
  } catch (...) {
    publish_outcome(ranks, key, current_error_json());
    throw;
  }
  publish_outcome(ranks, key, "");
}

}  // namespace retrace
