#include "train/checkpoint/checkpoint_load.h"

#include "core/error.h"
#include "core/log.h"
#include "train/checkpoint/folders.h"
#include "train/checkpoint/state_io.h"
#include "train/ranks/attempt.h"

namespace retrace::train {
namespace {

// Says to all ranks which folder to try; "" = none is left.
fs::path next_candidate(World& world, std::vector<CheckpointFolder>& candidates, const std::string& key,
                        int64_t round, bool only) {
  if (!world.first()) return world.coordinator().wait(key, world.timeout_s());
  fs::path chosen;
  while (chosen.empty() && !candidates.empty()) {
    const CheckpointFolder folder = candidates.front();
    candidates.erase(candidates.begin());
    try {
      if (only || read_manifest(folder.path).progress.round == round) chosen = folder.path;
    } catch (const Error& error) {
      warn("refusing '{}': {}", folder.path.string(), error.what());
    }
  }
  world.coordinator().set(key, chosen.string());
  return chosen;
}

// All ranks' outcomes of one try: the first that is not "".
std::string agree(World& world, const std::string& key, const std::string& mine) {
  Coordinator& store = world.coordinator();
  store.set(fmt::format("{}/{}", key, world.rank()), mine);
  std::string first;
  for (int r = 0; r < world.size(); ++r) {
    const std::string theirs = store.wait(fmt::format("{}/{}", key, r), world.timeout_s());
    if (first.empty()) first = theirs;
  }
  return first;
}

}  // namespace

std::optional<Manifest> load_newest(World& world, Shards& shards, const fs::path& root, int64_t round,
                                    const fs::path& only, const std::function<void(const Manifest&)>& check) {
  const std::string key = world.fresh_key("load");
  std::vector<CheckpointFolder> candidates;
  if (!only.empty())
    candidates.push_back({only, 0});
  else if (world.first())
    candidates = list_checkpoints(root);
  for (int turn = 0;; ++turn) {
    const std::string turn_key = fmt::format("{}/{}", key, turn);
    const fs::path folder = next_candidate(world, candidates, turn_key, round, !only.empty());
    if (folder.empty()) return std::nullopt;
    std::optional<Manifest> manifest;
    std::optional<Error> refusal;
    const std::string mine = attempt(world.rank(), [&] {
      try {
        manifest = read_manifest(folder);
        check(*manifest);
      } catch (const Error& error) {
        if (error.code() == Code::recipe) refusal = error;
        throw;
      }
      read_part(StateReader(folder, *manifest), shards);
    });
    const std::string problem = agree(world, turn_key + "/outcome", mine);
    if (refusal) throw *refusal;
    if (problem.empty()) {
      if (world.first() && manifest->chunk_elements != shards.layout().chunk_elements())
        warn("'{}' was written in chunks of another size: what follows is not bit-equal to going on in those",
             folder.string());
      return manifest;
    }
    if (!only.empty())
      throw Error(Code::corrupt, fmt::format("cannot resume: {}", problem), "", folder.string());
    if (world.first()) warn("refusing '{}': {}", folder.string(), problem);
  }
}

}  // namespace retrace::train
