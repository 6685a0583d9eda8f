// Recipe section [sandbox].
#pragma once

#include "core/recipe/recipe.h"

namespace retrace {

struct SandboxConfig {
  static constexpr const char* kSection = "sandbox";
  static constexpr const char* kAbout = "Where model-written code runs";
  std::string mode = "bwrap", python = "/usr/bin/python3";
  double timeout_s = 10;
  int64_t memory_mib = 1024, processes = 1, output_kib = 1024, work_mib = 64, workers = 0;
  static auto fields();
};

extern template SandboxConfig Recipe::get<SandboxConfig>() const;
extern template Section describe<SandboxConfig>();

}  // namespace retrace
