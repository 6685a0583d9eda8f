// The groups of ranks inside a job, all of consecutive ranks: those that hold one copy of the training state
// together, those that hold the same part of it in other copies, and those that share one sequence.
#pragma once

#include <memory>

#include "model/llama_config.h"
#include "train/config.h"
#include "train/ranks/collectives.h"

namespace retrace::train {

struct GroupSizes {
  int shard = 1;    // ranks that hold one copy of the state together
  int context = 1;  // ranks that share one sequence
};

// From train.sharding, shard_size and context_parallel. `local`: ranks of a node, the shard group of hsdp
// where the recipe names none. Error{recipe} for sizes that do not divide, naming those that would.
GroupSizes group_sizes(const TrainConfig& train, const model::LlamaConfig& llama, int world, int local);

class RankGroups {
 public:
  // Splits `all`, which must outlive this. A collective.
  RankGroups(Collectives& all, const GroupSizes& sizes);

  Collectives& shard() { return part_ ? *part_ : all_; }
  Collectives* replicas() { return replicas_.get(); }  // null: there is one copy of the state
  Collectives* context() { return context_.get(); }    // null: every rank has sequences of its own

 private:
  Collectives& all_;
  std::unique_ptr<Collectives> part_, replicas_, context_;
};

}  // namespace retrace::train
