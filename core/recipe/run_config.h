// Recipe sections that belong to no room: where a run lives, its seed, its processes; and fault injection.
#pragma once

#include "core/recipe/recipe.h"

namespace retrace {

struct RunConfig {
  static constexpr const char* kSection = "run";
  static constexpr const char* kAbout = "Where the run lives, and on how many processes";
  std::string name = "", dir = "";
  int64_t seed = 1, nproc = 1, threads = 0;
  double timeout_s = 600;
  static auto fields();
};

struct DebugConfig {
  static constexpr const char* kSection = "debug";
  static constexpr const char* kAbout = "Fault injection";
  std::string fail_at = "";
  static auto fields();
};

extern template RunConfig Recipe::get<RunConfig>() const;
extern template Section describe<RunConfig>();
extern template DebugConfig Recipe::get<DebugConfig>() const;
extern template Section describe<DebugConfig>();

}  // namespace retrace
