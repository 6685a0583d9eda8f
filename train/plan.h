// What a training would need before it starts: bytes of a rank, time of a step, transfers of a dry run. No
// torch here.
#pragma once

#include "train/plan/dry_run.h"
#include "train/plan/memory.h"
#include "train/plan/step_time.h"
#include "train/plan/training_shape.h"
#include "train/ranks/rank_groups.h"
