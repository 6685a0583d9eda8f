// The plan of a whole recipe: the paper's own, whose totals are published (64 x 65,536 tokens a step, 5,000
// steps, Llama-3-8B's 8,030,261,248 parameters), and what is refused before anything starts.
#include "loop/plan/plan_recipe.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "core/recipe/run_config.h"
#include "core/sandbox/config.h"
#include "data/config.h"
#include "eval/config.h"
#include "loop/config.h"
#include "model/config.h"
#include "synth/config.h"
#include "tests/shared.h"
#include "train/config.h"
#include "train/plan.h"

using namespace retrace;
using namespace retrace::loop;

namespace {

Recipe paper_recipe(const std::vector<Override>& overrides = {}) {
  static const Schema schema =
      Schema::of<RunConfig, LoopConfig, synth::SynthConfig, synth::SearchConfig, synth::GeneratorConfig,
                 synth::ScorerConfig, synth::HygieneConfig, data::TokenizerConfig, data::DataConfig,
                 model::ModelConfig, train::OptimConfig, train::TrainConfig, train::CheckpointConfig,
                 PlanConfig, eval::EvalConfig, SandboxConfig, DebugConfig>();
  return Recipe::load(schema, std::string(RETRACE_SOURCE_DIR) + "/recipes/llama3-8b-64k.toml", overrides);
}

}  // namespace

TEST_CASE("plan: the paper's recipe adds up to the paper's totals", "[unit]") {
  const Json plan = plan_recipe(paper_recipe(), 64, false);
  REQUIRE(plan["model"]["parameters"] == 8030261248);
  REQUIRE(plan["step"]["tokens"].get<double>() == 64.0 * 65536);
  REQUIRE(plan["training"]["tokens"].get<double>() == 64.0 * 65536 * 5000);
  REQUIRE(plan["training"]["gpu_hours"].get<double>() == plan["training"]["hours"].get<double>() * 64);
  int64_t bytes = 0;
  for (const Json& item : plan["memory_per_rank"]["items"]) bytes += item["bytes"].get<int64_t>();
  const double gib = static_cast<double>(bytes) / (1 << 30) + 2;  // plan.overhead_gib
  REQUIRE(std::abs(plan["memory_per_rank"]["total_gib"].get<double>() - gib) < 1e-9);
  REQUIRE_FALSE(plan.contains("dry_run"));
  REQUIRE(plan_text(plan).find("64") != std::string::npos);
}

TEST_CASE("plan: the machine is what section [plan] says", "[unit]") {
  const Json slow = plan_recipe(paper_recipe({{"plan.gemm_tflops", "325"}}), 64, false);
  const Json fast = plan_recipe(paper_recipe(), 64, false);
  REQUIRE(slow["step"]["gemm_s"].get<double>() == 2 * fast["step"]["gemm_s"].get<double>());
  const Json small = plan_recipe(paper_recipe({{"plan.memory_gib", "24"}}), 8, false);
  REQUIRE_FALSE(small["memory_per_rank"]["fits"].get<bool>());
  REQUIRE(small["memory_per_rank"]["gpu_gib"].get<double>() == 24);
  // GpuModel's defaults are those of the section.
  const train::GpuModel defaults;
  const auto section = paper_recipe().get<PlanConfig>();
  REQUIRE((section.gemm_tflops == defaults.gemm_tflops && section.network_gbs == defaults.network_gbs));
}

TEST_CASE("plan: ranks that cannot share the batch are refused by name", "[unit]") {
  const Error error = tests::error_of([] { plan_recipe(paper_recipe(), 48, false); });
  REQUIRE(error.code() == Code::recipe);
  REQUIRE(error.where() == "train.batch_sequences");
  REQUIRE(error.message().find("64 sequences a step do not divide") != std::string::npos);
  REQUIRE_FALSE(error.hint().empty());
}
