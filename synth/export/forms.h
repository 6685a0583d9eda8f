// One trajectory in the shape that another trainer reads.
#pragma once

#include "core/json.h"
#include "synth/record/trajectory.h"

namespace retrace::synth {

// OpenAI chat messages with tool calls (read_file, write_file), `tools` and provenance. A delegation and a
// thought are the assistant's content in front of the call that follows.
Json to_messages(const Trajectory& t, Variant variant);
// {"conversations": [{from, value}]}: human and observation at odd, gpt at even places; calls are plain text.
Json to_sharegpt(const Trajectory& t, Variant variant);
// ATIF 1.7: the main agent's steps; each delegation a call that refers to an embedded trajectory of its
// sub-agent. A thought is the reasoning of the call that follows; every call carries its result.
Json to_atif(const Trajectory& t, Variant variant);
// {"text"}: the rendered document as text, control tokens by name.
Json to_text_record(const Trajectory& t, const RenderOptions& options);

}  // namespace retrace::synth
