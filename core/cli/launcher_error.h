// What a rank leaves for torchrun when it fails: the JSON of TORCHELASTIC_ERROR_FILE.
#pragma once

#include <string>

#include "core/json.h"

namespace retrace {

// Message, rank, exit status and the facts below, in the shape that torchrun reads. Does nothing where the
// variable is not set; a file that cannot be written is a warning.
void write_launcher_error(const std::string& message, int status);
// From now on such a file also holds what `facts` says at that moment: step and phase, for example.
void set_launcher_facts(Json (*facts)());

}  // namespace retrace
