#include "core/run_folder.h"

#include "core/run_config.h"

namespace retrace {

std::filesystem::path run_folder_of(const Recipe& recipe) {
  const auto run = recipe.get<RunConfig>();
  if (!run.dir.empty()) return run.dir;
  return std::filesystem::path("runs") / (run.name.empty() ? recipe.path().stem().string() : run.name);
}

}  // namespace retrace
