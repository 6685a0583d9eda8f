// The coordinator over c10d's TCPStore: agreement of ranks without collectives. No host's wall clock counts:
// a lease is over for a rank that has seen it unrenewed for its time to live.
#pragma once

#include <memory>
#include <string>

#include "core/ranks/coordinator.h"

namespace c10d {
class Store;
}

namespace retrace::train {

// One connection to the job's store.
struct StoreAddress {
  std::string host;
  int port = 0;
  bool serve = false;  // this process hosts the store
  double timeout_s = 300;
};
std::shared_ptr<c10d::Store> connect_store(const StoreAddress& address);

// Keys are put under `prefix`. Every call is one or two round trips; store failures are Error{distributed}.
std::unique_ptr<Coordinator> make_tcp_coordinator(std::shared_ptr<c10d::Store> store, std::string prefix,
                                                  int rank);
std::string c10d_message(const std::string& text);  // the text of a c10d exception without its stack trace

}  // namespace retrace::train
