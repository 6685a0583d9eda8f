// The verbs of this room, for the table in main.cpp.
#pragma once

#include <vector>

#include "core/cli/cli.h"

namespace retrace::data {

std::vector<Verb> verbs();

}  // namespace retrace::data
