// A trajectory for human eyes: in the terminal, as HTML without script, as JSON.
#pragma once

#include <cstddef>
#include <filesystem>
#include <ostream>
#include <string>

#include "synth/trajectory.h"

namespace retrace::synth {

// Prints record `index` of a trajectory shard as "terminal", "html" or "json"; false if `file` is no
// trajectory shard. The terminal form is coloured only where `out` is a terminal and NO_COLOR is unset.
bool show_trajectory(const std::filesystem::path& file, size_t index, const std::string& as,
                     std::ostream& out);

// A fragment: one <details> a sub-agent; each segment a <span class="seg trained ROLE"> or
// <span class="seg masked ROLE">, by the default loss weights of its kind. No script, no style of its own.
std::string trajectory_html(const Trajectory& t, const RenderOptions& options);
// What the fragment's classes need, light and dark.
std::string trajectory_css();

}  // namespace retrace::synth
