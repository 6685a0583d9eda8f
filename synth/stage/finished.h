// done.json: what a published stage was made of, by which a later call recognises it as finished.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "synth/stage/record_maker.h"

namespace retrace::synth {

Json done_json(const RecordMaker& maker, const std::string& key);

// summary.json of `out` if its done.json has this key and the maker's weights and scorer; a maker that has no
// scorer, or has not loaded its writer, matches any.
std::optional<Json> finished_summary(const std::filesystem::path& out, const RecordMaker& maker,
                                     const std::string& key);

}  // namespace retrace::synth
