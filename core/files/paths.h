// "deps:NAME" in a recipe names what the set-up scripts fetched: NAME in ${RETRACE_DEPS:-~/.cache/retrace}.
#pragma once

#include <filesystem>
#include <string>

namespace retrace {

// The path itself, with a leading "deps:" replaced. Error{recipe} if it is used and no home folder is known.
std::filesystem::path resolve_path(const std::string& path);

}  // namespace retrace
