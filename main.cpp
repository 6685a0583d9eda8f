// The one binary: a table of verbs, nothing else. Each room declares its own in ROOM/commands.h.
#include "core/cli/cli.h"
#include "core/recipe/run_config.h"
#include "core/sandbox/config.h"
#include "data/commands.h"
#include "data/config.h"
#include "eval/commands.h"
#include "eval/config.h"
#include "loop/commands.h"
#include "loop/config.h"
#include "model/commands.h"
#include "model/config.h"
#include "synth/commands.h"
#include "synth/config.h"
#include "train/commands.h"
#include "train/config.h"

int main(int argc, char** argv) {
  using namespace retrace;
  const Schema schema =
      Schema::of<RunConfig, loop::LoopConfig, synth::SynthConfig, synth::SearchConfig, synth::GeneratorConfig,
                 synth::ScorerConfig, synth::HygieneConfig, data::TokenizerConfig, data::DataConfig,
                 model::ModelConfig, train::OptimConfig, train::TrainConfig, train::CheckpointConfig,
                 loop::PlanConfig, eval::EvalConfig, SandboxConfig, DebugConfig>();
  std::vector<Verb> table = loop::verbs();
  for (const auto& verbs : {synth::verbs(), train::verbs(), eval::verbs(), model::verbs(), data::verbs()})
    table.insert(table.end(), verbs.begin(), verbs.end());
  return run_command_line(argc, argv, table, schema);
}
