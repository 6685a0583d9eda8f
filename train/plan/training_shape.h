// What decides the memory and the time of a training step: the model, the batch and how both are sharded.
#pragma once

#include <cstdint>
#include <string>

#include "model/llama_config.h"

namespace retrace::model {
struct BatchShape;
struct PlanOptions;
}  // namespace retrace::model

namespace retrace::train {

struct TrainingShape {
  model::LlamaConfig llama;
  int64_t seq_len = 0, micro_batch = 1, batch_sequences = 1, logit_chunk = 1024, chunk_kib = 0;
  double mean_squared_length = 0;  // of a sequence: sum of its squared document lengths
  std::string dtype = "bfloat16", recompute = "none", offload = "none", sharding = "zero3";
  int64_t mlp_tile_tokens = 0;
  int64_t shard_size = 8;            // hsdp: ranks that hold one copy of the state together
  int64_t context = 1;               // ranks that share each sequence
  int shard_ranks(int world) const;  // ranks of `world` that hold one copy of the state together
  model::PlanOptions block_options() const;
  model::BatchShape batch_of_rank() const;  // a micro-batch, as far as one rank computes it
  bool async_saves = false;
};

}  // namespace retrace::train
