// The rendezvous of the ranks of one attempt on a store that may still hold the keys of earlier attempts:
// torchrun's agents keep their store through restarts, and their restart counts differ where one agent saw a
// failure and another a change of members.
#pragma once

#include <string>

namespace c10d {
class Store;
}

namespace retrace::train {

struct Rendezvous {
  std::string attempt;  // the same on all ranks of this attempt, and of no other
  std::string address;  // of this machine, by which the other machines reach it; loopback if there are none
};

// Rank 0 draws a name for the attempt; each other rank sets a nonce, and takes as its attempt what
// rank 0 answers to that nonce. Ends when all have answered. `master` is the host of the store.
// Error{distributed} on every rank that can still hear, naming those that do not come within timeout_s.
Rendezvous join_rendezvous(c10d::Store& store, const std::string& prefix, int rank, int size,
                           const std::string& master, double timeout_s);

}  // namespace retrace::train
