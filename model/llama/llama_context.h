// What Llama::prepare makes of a packed sequence's spans.
#pragma once

#include <vector>

#include "model/llama/llama.h"
#include "model/ops/rope.h"

namespace retrace::model {

struct Llama::Context {
  std::vector<int64_t> starts;
  RopeAngles angles;
  ContextPeers* peers = nullptr;
};

// Positions of a packed sequence: restart at `first` with each document, or run on.
std::vector<int32_t> packed_positions(const std::vector<int64_t>& starts, int64_t first, bool continuous);

}  // namespace retrace::model
