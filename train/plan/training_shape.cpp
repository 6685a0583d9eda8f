#include "train/plan/training_shape.h"

#include <algorithm>

#include "model/llama/block_costs.h"
#include "model/llama/block_program.h"

namespace retrace::train {

int TrainingShape::shard_ranks(int world) const {
  return sharding == "hsdp" ? static_cast<int>(std::min<int64_t>(shard_size, world)) : world;
}

model::PlanOptions TrainingShape::block_options() const {
  return {recompute, mlp_tile_tokens, offload};
}

model::BatchShape TrainingShape::batch_of_rank() const {
  return {micro_batch * seq_len / context,
          mean_squared_length * static_cast<double>(micro_batch) / static_cast<double>(context),
          dtype == "bfloat16" ? 2 : 4, context > 1};
}

}  // namespace retrace::train
