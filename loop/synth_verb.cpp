// `retrace synth`: one stage, alone or shared by the ranks of a launcher.
#include <cstdlib>
#include <optional>

#include "core/failpoint.h"
#include "core/process/process.h"
#include "core/process/signals.h"
#include "core/ranks/run_lock.h"
#include "core/recipe/run_config.h"
#include "core/recipe/run_folder.h"
#include "loop/synth_verb.h"
#include "model/device/cuda_library.h"
#include "synth/commands.h"
#include "train/config.h"
#include "train/world.h"

namespace retrace::loop {
namespace {

int synth_on_ranks(const Call& call, const Schema& schema) {
  const Recipe recipe = load_recipe(call, schema);
  const auto run = recipe.get<RunConfig>();
  const auto env = train::read_launch_env();
  install_signal_handlers();
  if (call.has("edges") || call.has("dry-run")) {
    if (env.rank == 0) synth::look_at_sources(call, recipe);
    return 0;
  }
  if (train::starts_own_ranks(env, run.nproc))
    return launch_ranks(call.argv, static_cast<int>(run.nproc),
                        recipe.get<train::CheckpointConfig>().grace_s);
  if (std::getenv("RETRACE_LAUNCHER")) die_with_parent();
  arm_failpoints(recipe.get<DebugConfig>().fail_at, env.rank);
  std::optional<Error> incomplete;
  {
    train::World world(env, run.timeout_s,
                       model::choose_device(std::get<std::string>(recipe.value("eval.device"))));
    try {
      std::unique_ptr<RunLock> lock;
      first_rank_does(world.ranks(), world.fresh_key("run folder"), world.timeout_s(),
                      [&] { lock = std::make_unique<RunLock>(run_folder_of(recipe)); });
      incomplete = synth::run_synth(call, recipe, world.ranks());
    } catch (const Error& error) {
      world.report_failure(error);
      throw;
    }
  }
  if (incomplete && env.rank == 0) throw *incomplete;
  return 0;
}

}  // namespace

Verb synth_verb() {
  return {"synth",
          "RECIPE [key=value ...] [--nproc N]",
          "trajectories of synth.input, or of a round's slice",
          synth::synth_options(),
          true,
          synth_on_ranks};
}

}  // namespace retrace::loop
