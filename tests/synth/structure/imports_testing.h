#pragma once

#include <string>
#include <utility>
#include <vector>

#include "synth/structure.h"

namespace retrace::synth::testing {

using Files = std::vector<std::pair<std::string, std::string>>;

// The edges of a tree as "from -> to", "~>" if soft, sorted.
std::vector<std::string> edges_of(const Files& files, const std::string& origin = "sample");
Structure structure_of(const Files& files);

}  // namespace retrace::synth::testing
