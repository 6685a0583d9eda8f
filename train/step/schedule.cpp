#include "train/step/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace retrace::train {

double learning_rate(const OptimConfig& config, int64_t step, int64_t steps) {
  const auto warmup = static_cast<int64_t>(std::ceil(config.warmup_fraction * static_cast<double>(steps)));
  if (step < warmup) return config.lr * static_cast<double>(step) / static_cast<double>(warmup);
  const double progress = std::min(
      1.0, static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, steps - warmup)));
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return config.lr * (config.min_lr_fraction + (1.0 - config.min_lr_fraction) * cosine);
}

}  // namespace retrace::train
