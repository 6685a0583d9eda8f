// Recipe section [eval].
#pragma once

#include "core/recipe/recipe.h"

namespace retrace::eval {

struct EvalConfig {
  static constexpr const char* kSection = "eval";
  static constexpr const char* kAbout = "Benchmarks and perplexity";
  std::vector<std::string> tasks = {"humaneval"}, model, perplexity_files;
  std::vector<int64_t> lengths = {4096};
  int64_t limit = 0, perplexity_limit = 0, ruler_samples = 500, samples = 1, shots = -1, max_gen_tokens = 0,
          max_length = 0, seed = 42;
  double temperature = 0, top_p = 1;
  bool add_bos = true;
  std::string data_dir = "", predictions = "", ruler_words = "", ruler_essays = "", dtype = "float32",
              device = "auto";
  static auto fields();
};

}  // namespace retrace::eval

namespace retrace {
extern template eval::EvalConfig Recipe::get<eval::EvalConfig>() const;
extern template Section describe<eval::EvalConfig>();
}  // namespace retrace
