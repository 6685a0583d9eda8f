#include "train/checkpoint/checkpoint_load.h"

#include "core/error.h"
#include "core/log.h"
#include "train/checkpoint/folders.h"
#include "train/checkpoint/state_io.h"
#include "train/ranks/attempt.h"

namespace retrace::train {
namespace {

// The newest candidate that may be tried, "" if none is left. Removes it, and those before it, from the list.
fs::path next_candidate(std::vector<CheckpointFolder>& candidates, int64_t round, bool only) {
  while (!candidates.empty()) {
    const CheckpointFolder folder = candidates.front();
    candidates.erase(candidates.begin());
    try {
      if (only || read_manifest(folder.path).progress.round == round) return folder.path;
    } catch (const Error& error) {
      warn("refusing '{}': {}", folder.path.string(), error.what());
    }
  }
  return {};
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
    const fs::path folder = broadcast_text(world.ranks(), turn_key, world.timeout_s(), [&] {
      return next_candidate(candidates, round, !only.empty()).string();
    });
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
    const std::string problem = first_failure(world.ranks(), turn_key + "/outcome", world.timeout_s(), mine);
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
