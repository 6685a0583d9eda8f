// Recipe sections for the tests of recipes and of the command line: one key of each type.
#pragma once

#include "core/recipe/recipe.h"
#include "core/recipe/run_config.h"

namespace retrace::testing {

struct OptimConfig {
  static constexpr const char* kSection = "optim";
  static constexpr const char* kAbout = "AdamW and its schedule";
  double learning_rate = 1e-5, weight_decay = 0.1;
  int64_t warmup = 100;
  bool fused = true;
  static auto fields() {
    return std::tuple{field("learning_rate", &OptimConfig::learning_rate, "Peak learning rate").range(0, 1),
                      field("weight_decay", &OptimConfig::weight_decay, "Decoupled weight decay").at_least(0),
                      field("warmup", &OptimConfig::warmup, "Steps of warm-up").unit("steps").range(0, 1e6),
                      field("fused", &OptimConfig::fused, "One kernel | one pass")};
  }
};

struct DataConfig {
  static constexpr const char* kSection = "data";
  static constexpr const char* kAbout = "Packing";
  int64_t seq_len = 65536;
  std::string type = "bpe", path = "";
  std::vector<int64_t> lengths = {4096, 8192};
  std::vector<double> weights = {0.5};
  std::vector<std::string> tasks = {"ruler", "gsm8k"};
  std::map<std::string, double> loss_weights = {{"think", 1.0}, {"observation", 0.0}};
  static auto fields() {
    return std::tuple{
        field("seq_len", &DataConfig::seq_len, "Length of a sequence").unit("tokens").at_least(16),
        field("type", &DataConfig::type, "Kind of vocabulary").choices({"bpe", "sentencepiece"}),
        field("path", &DataConfig::path, "A file"),
        field("lengths", &DataConfig::lengths, "Context lengths").at_least(1),
        field("weights", &DataConfig::weights, "Mixture weights").range(0, 1),
        field("tasks", &DataConfig::tasks, "Task names").choices({"ruler", "gsm8k", "humaneval"}),
        field("loss_weights", &DataConfig::loss_weights, "Loss weight by kind").range(0, 10)};
  }
};

inline const Schema& test_schema() {
  static const Schema schema = Schema::of<RunConfig, OptimConfig, DataConfig, DebugConfig>();
  return schema;
}

}  // namespace retrace::testing
