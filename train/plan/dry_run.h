// One optimizer step of one rank of many, without weights, data or peers: the forward and backward as they
// are, over tensors that have shapes only, with collectives that count instead of sending.
#pragma once

#include <cstdint>

#include "train/plan/training_shape.h"

namespace retrace::train {

struct TransferCount {
  int64_t calls = 0, bytes = 0;  // bytes a rank receives (gather) or sends (the others) from and to others
};
struct DryRun {
  TransferCount gathers, reduces;
  TransferCount sums;   // hsdp: gradients over the copies, a reduction and a gather each
  TransferCount swaps;  // context parallel: tokens against heads
  int64_t micro_steps = 0;
  int64_t in_flight = 0, most_in_flight = 0;  // transfers begun and not yet waited for
};

// Error{recipe} if the sequences of a step do not divide into micro-batches on `world` ranks.
DryRun dry_run_step(const TrainingShape& shape, int world);

}  // namespace retrace::train
