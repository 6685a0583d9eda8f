// Gathers what a run folder holds into one JSON object.
#pragma once

#include "core/files/files.h"
#include "core/json.h"

namespace retrace::eval {

// All numbers of a run folder as one object. Parts that a stage has not written yet are absent.
Json collect_run(const fs::path& run);

}  // namespace retrace::eval
