// The deterministic mixture: which sample stands at which place of which step, a pure function of
// (seed, step, manifest). Each domain's running count stays within one sample of its share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/mds/mds.h"

namespace retrace::data {

struct MixtureDomain {
  std::string name;
  std::filesystem::path folder;  // MDS data set
  double weight = 1;
};

struct SampleRef {
  int domain;
  int64_t index;  // in the domain's data set
  int64_t epoch;  // how often the domain has been gone through
  bool operator==(const SampleRef&) const = default;
};

class Mixture {
 public:
  Mixture(std::vector<MixtureDomain> domains, uint64_t seed);
  ~Mixture();
  // The samples of one optimizer step, in order, whatever the world size. O(batch) for any step.
  std::vector<SampleRef> batch(int64_t step, int64_t batch_size) const;
  Sample read(const SampleRef& ref) const;
  const std::vector<MixtureDomain>& domains() const;
  int64_t domain_size(int domain) const;
  const std::string& manifest_hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::data
