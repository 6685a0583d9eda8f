// Which earlier signatures may be near a new one: a table of MinHash bands in a scratch database. Everything
// that shares a band with it is named; how near it is, is for the caller to compare.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "core/files/sqlite.h"

namespace retrace::synth {

class BandIndex {
 public:
  explicit BandIndex(Database& db);  // makes the table `bands`; the database outlives this
  void add(int64_t id, const std::string& signature);
  std::set<int64_t> sharing(const std::string& signature);

 private:
  Statement add_, find_;
};

}  // namespace retrace::synth
