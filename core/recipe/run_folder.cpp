#include "core/recipe/run_folder.h"

#include "core/build_info.h"
#include "core/files/files.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process/process.h"
#include "core/recipe/run_config.h"
#include "core/text.h"

namespace retrace {
namespace {

std::string name_of(const Recipe& recipe) {
  const auto run = recipe.get<RunConfig>();
  return run.name.empty() ? recipe.path().stem().string() : run.name;
}

std::vector<std::string> changed_keys(const Recipe& recipe, const std::filesystem::path& earlier_file) {
  std::vector<std::string> changed;
  const Recipe earlier = Recipe::load(recipe.schema(), earlier_file, {});
  for (const auto& section : recipe.schema().sections())
    for (const auto& key : section.keys) {
      const std::string name = key.full();
      if ((section.name == "run" && key.name != "seed") || section.name == "debug") continue;
      if (earlier.value(name) != recipe.value(name))
        changed.push_back(fmt::format("{} (was {}, is {})", name, value_text(earlier.value(name)),
                                      value_text(recipe.value(name))));
    }
  return changed;
}

}  // namespace

std::filesystem::path run_folder_of(const Recipe& recipe) {
  const auto run = recipe.get<RunConfig>();
  return run.dir.empty() ? std::filesystem::path("runs") / name_of(recipe) : std::filesystem::path(run.dir);
}

std::vector<std::string> write_run_files(const Recipe& recipe, const std::filesystem::path& run,
                                         const RunFacts& facts) {
  std::vector<std::string> changed;
  const auto file = run / "recipe.toml";
  if (std::filesystem::exists(file)) {
    try {
      changed = changed_keys(recipe, file);
    } catch (const Error& error) {
      warn("the recipe that {} was begun with cannot be compared: {}", run.string(), error.message());
    }
    if (!changed.empty())
      warn(
          "{} was begun with another recipe: {}. What is finished stays as it was made; for a run of its own "
          "use run.dir=PATH",
          run.string(), join(changed, ", "));
  }
  write_file(file, recipe.to_toml());
  write_file(run / "run.json", to_text({{"name", name_of(recipe)},
                                        {"variant", facts.variant},
                                        {"version", kVersion},
                                        {"compiler", kCompiler},
                                        {"host", host_name()},
                                        {"launcher", facts.launcher},
                                        {"world", facts.world},
                                        {"threads_per_rank", facts.threads_per_rank},
                                        {"seed", recipe.get<RunConfig>().seed},
                                        {"recipe_fingerprint", recipe.fingerprint()}},
                                       1) +
                                   "\n");
  return changed;
}

}  // namespace retrace
