// Work on items side by side, in order at both ends. Items live in `slots` places of the caller's, taken in
// turn. Promises: `make` and `use` run on the caller's thread only, each for one item after the other in one
// order, so that what `use` sees does not depend on the number of threads; at most `slots` items exist at a
// time; the first item's error, in that order, reaches the caller once all threads have ended.
#pragma once

#include <cstddef>
#include <functional>

namespace retrace::data {

struct OrderedWork {
  std::function<bool(size_t slot)> make;  // false: there are no more items
  std::function<void(size_t slot)> work;  // on any thread
  std::function<void(size_t slot)> use;
};

// The caller's thread counts as one of `threads` and works too while it has nothing to make or use.
void run_in_order(int threads, size_t slots, const OrderedWork& job);

}  // namespace retrace::data
