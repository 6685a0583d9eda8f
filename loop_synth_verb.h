// The verb `synth`.
#pragma once

#include "core/cli.h"

namespace retrace {

Verb synth_verb();

}  // namespace retrace
