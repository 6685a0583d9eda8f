// What decides the bytes of the synth and pack stages, as hashes: equal keys, equal bytes.
#pragma once

#include <string>
#include <vector>

#include "core/recipe/recipe.h"

namespace retrace::synth {

inline constexpr const char* kSynthCode = "synth/1";  // to be raised when the same inputs give other bytes

// All keys of a section, except `without`, as text.
std::string section_text(const Recipe& recipe, const std::string& section,
                         const std::vector<std::string>& without = {});

}  // namespace retrace::synth
