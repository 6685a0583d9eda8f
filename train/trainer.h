// One round of training: from packed tokens and start weights to a last checkpoint, through any number of
// interruptions. No torch here.
#pragma once

#include "core/recipe/recipe.h"
#include "train/job.h"
#include "train/world.h"

namespace retrace::train {

// Trains the round on all ranks of `world`, each of which makes this call, and leaves
// run_folder/checkpoints/step-N (N = global step). Continues from the newest checkpoint of the round that
// verifies; a round that is done returns at once. Error{interrupted} after SIGINT or SIGTERM (the last
// completed step is saved if checkpoint.grace_s allows), Error{distributed} if a rank is lost or disagrees,
// Error{numeric} after train.max_bad_steps bad steps in a row, Error{io} when saving keeps failing.
// The caller holds the run folder's lock, has installed signal handlers, and passes errors to
// World::report_failure.
TrainResult run_training(World& world, const Recipe& recipe, const TrainJob& job);

}  // namespace retrace::train
