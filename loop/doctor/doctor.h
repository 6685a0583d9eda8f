// `retrace doctor`: what this machine has and lacks, alone or for a recipe.
#pragma once

#include "core/cli/cli.h"

namespace retrace::loop {

Verb doctor_verb();

}  // namespace retrace::loop
