// The cost of a whole recipe before anything starts: synthesis, memory, time and cost of training.
#pragma once

#include <string>

#include "core/json.h"
#include "core/recipe/recipe.h"

namespace retrace::loop {

// The whole plan of a recipe, as `retrace plan --json` prints it. `dry_run` also walks a step and counts its
// transfers (train/plan/dry_run.h). Error{recipe} if the ranks cannot share the batch.
Json plan_recipe(const Recipe& recipe, int gpus, bool dry_run);
std::string plan_text(const Json& plan);

}  // namespace retrace::loop
