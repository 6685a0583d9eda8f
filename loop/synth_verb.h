// The verb `synth`.
#pragma once

#include "core/cli/cli.h"

namespace retrace::loop {

Verb synth_verb();

}  // namespace retrace::loop
