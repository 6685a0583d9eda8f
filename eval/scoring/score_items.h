// Scoring a task's items, several at a time where model-written code runs.
#pragma once

#include "eval/predictions/results.h"

namespace retrace::eval {

// Fills task.scores and task.without_result. workers 0 = cores; tasks that run no code are scored by one.
void score_items(const EvalTask& task, const Sandbox* sandbox, int64_t workers, ScoredTask& scored);

}  // namespace retrace::eval
