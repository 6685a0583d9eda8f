// Results for the terminal.
#pragma once

#include <string>

#include "core/json.h"

namespace retrace::eval {

// A table of results (eval/predictions/results.h), one line a metric.
std::string results_table(const Json& results);

}  // namespace retrace::eval
