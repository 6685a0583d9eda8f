// Bytes of a rank by category. Follows the code that allocates: flat layout, slots, liveness plans.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/plan/training_shape.h"

namespace retrace::train {

struct MemoryItem {
  std::string name;
  int64_t bytes = 0;
};

// The bytes that tensors of one rank take at the worst moment of a step.
struct MemoryPlan {
  std::vector<MemoryItem> items;
  // Beside them, in host memory: the copy that an asynchronous save writes, block inputs that wait there.
  int64_t host_save_bytes = 0, host_offload_bytes = 0;
  int64_t total_bytes() const;
};
MemoryPlan plan_memory(const TrainingShape& shape, int world);

}  // namespace retrace::train
