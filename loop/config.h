// Recipe sections [loop] and [plan].
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "core/recipe/recipe.h"
#include "train/plan.h"

namespace retrace::loop {

struct LoopConfig {
  static constexpr const char* kSection = "loop";
  static constexpr const char* kAbout = "Rounds";
  int64_t rounds = 2;
  std::string start = "previous";
  std::vector<std::string> compare;
  double dev_fraction = 0.1, test_fraction = 0.1;
  static auto fields();
};

struct PlanConfig : train::GpuModel {
  static constexpr const char* kSection = "plan";
  static constexpr const char* kAbout = "What `retrace plan` assumes of the machine and of the input";
  std::string gpu = "H100 SXM";
  double memory_gib = 80, overhead_gib = 2, gpu_hour_price = 2.5;
  int64_t document_tokens = 0, repositories = 300000, trajectory_tokens = 12083, thoughts = 12,
          thought_tokens = 150, prompt_tokens = 6000;
  static auto fields();
};

}  // namespace retrace::loop

namespace retrace {
extern template loop::LoopConfig Recipe::get<loop::LoopConfig>() const;
extern template Section describe<loop::LoopConfig>();
extern template loop::PlanConfig Recipe::get<loop::PlanConfig>() const;
extern template Section describe<loop::PlanConfig>();
}  // namespace retrace
