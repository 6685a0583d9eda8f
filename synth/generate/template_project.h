// The main agent's prose: what it knows of the repository as a whole.
#pragma once

#include <string>
#include <vector>

#include "synth/generate/generator.h"

namespace retrace::synth {

using Lines = std::vector<std::string>;

// Each without its opening line, which the generator words.
Lines requirement_lines(const SlotRequest& request);
Lines plan_lines(const SlotRequest& request);
Lines review_lines(const SlotRequest& request);

std::string project_name(const Trajectory& t);  // origin without archive suffixes

}  // namespace retrace::synth
