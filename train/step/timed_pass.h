// A pass that measures itself: the computing of forward, head and backward as spans of a trace.
#pragma once

#include <memory>

#include "train/step/llama_pass.h"
#include "train/step/trace.h"

namespace retrace::train {

std::unique_ptr<PassWork> make_timed_pass(std::unique_ptr<PassWork> work, Trace& trace);

}  // namespace retrace::train
