// Where a run lives, and the two files that say what it was asked to do and where it ran.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/recipe/recipe.h"

namespace retrace {

// run.dir, else runs/NAME with run.name or the recipe file's own name.
std::filesystem::path run_folder_of(const Recipe& recipe);

struct RunFacts {
  std::string variant;   // rendering that trains; "" where only tokens are known
  std::string launcher;  // none, retrace, torchrun, slurm, openmpi
  int world = 1, threads_per_rank = 1;
};

// Writes recipe.toml (the resolved recipe) and run.json (facts, host, versions) into the run folder. For one
// rank. Where another recipe.toml stands there already, one warning names the keys whose values are others
// now (run.seed counts, the rest of [run] and [debug] do not), and they are returned: what is done stays as
// it was made.
std::vector<std::string> write_run_files(const Recipe& recipe, const std::filesystem::path& run,
                                         const RunFacts& facts);

}  // namespace retrace
