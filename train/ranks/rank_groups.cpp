#include "train/ranks/rank_groups.h"

#include <functional>

#include "core/error.h"
#include "core/text.h"
#include "model/ops/head_exchange.h"

namespace retrace::train {
namespace {

std::string divisors_text(int n, const std::function<bool(int)>& works) {
  std::vector<std::string> texts;
  for (int d = 1; d <= n; ++d)
    if (n % d == 0 && works(d)) texts.push_back(std::to_string(d));
  return join(texts, ", ");
}

int shard_size(const TrainConfig& train, int world, int local) {
  if (train.sharding != "hsdp") {
    if (train.shard_size > 0)
      throw Error(Code::recipe,
                  fmt::format("train.shard_size = {} has no meaning with sharding \"{}\"", train.shard_size,
                              train.sharding),
                  "set train.sharding = \"hsdp\", or leave shard_size out", "train.shard_size");
    return world;
  }
  if (train.virtual_ranks > 1)
    throw Error(Code::recipe, "virtual ranks do not know the groups of hsdp",
                "use another train.sharding with train.virtual_ranks", "train.virtual_ranks");
  const int64_t size = train.shard_size > 0 ? train.shard_size : local;
  if (size > world || world % size != 0)
    throw Error(
        Code::recipe,
        fmt::format("{} ranks do not divide into shard groups of {}{}", world, size,
                    train.shard_size > 0 ? "" : ", the ranks of a node"),
        fmt::format("set train.shard_size to one of {}", divisors_text(world, [](int) { return true; })),
        "train.shard_size");
  return static_cast<int>(size);
}

int context_size(const TrainConfig& train, const model::LlamaConfig& llama, int world) {
  const int64_t size = train.context_parallel;
  if (size == 1) return 1;
  const model::HeadShape heads{llama.num_heads, llama.num_kv_heads, llama.head_dim};
  if (train.virtual_ranks > 1)
    throw Error(Code::recipe, "virtual ranks do not share sequences",
                "set train.context_parallel = 1 or train.virtual_ranks = 1", "train.context_parallel");
  if (size > world || world % size != 0 || !model::heads_divide(heads, size))
    throw Error(Code::recipe,
                fmt::format("{} ranks with {} heads and {} key-value heads cannot share sequences by {}",
                            world, heads.heads, heads.kv_heads, size),
                fmt::format("set train.context_parallel to one of {}",
                            divisors_text(world, [&](int n) { return model::heads_divide(heads, n); })),
                "train.context_parallel");
  return static_cast<int>(size);
}

// `count` ranks from `first` on, `stride` apart.
std::vector<int> every(int first, int stride, int count) {
  std::vector<int> members;
  for (int i = 0; i < count; ++i) members.push_back(first + i * stride);
  return members;
}

}  // namespace

GroupSizes group_sizes(const TrainConfig& train, const model::LlamaConfig& llama, int world, int local) {
  return {shard_size(train, world, local), context_size(train, llama, world)};
}

RankGroups::RankGroups(Collectives& all, const GroupSizes& sizes) : all_(all) {
  const int rank = all.rank(), world = all.size();
  if (sizes.shard < world) {
    part_ = all.subgroup(every(rank - rank % sizes.shard, 1, sizes.shard));
    replicas_ = all.subgroup(every(rank % sizes.shard, sizes.shard, world / sizes.shard));
  }
  if (sizes.context > 1) context_ = all.subgroup(every(rank - rank % sizes.context, 1, sizes.context));
}

}  // namespace retrace::train
