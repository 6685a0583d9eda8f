// Where a run lives.
#pragma once

#include <filesystem>

#include "core/recipe.h"

namespace retrace {

// run.dir, else runs/NAME with run.name or the recipe file's own name.
std::filesystem::path run_folder_of(const Recipe& recipe);

}  // namespace retrace
