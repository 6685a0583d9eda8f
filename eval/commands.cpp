#include "eval/commands.h"

#include <unistd.h>

#include <cstdlib>
#include <map>

#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/log.h"
#include "core/process/process.h"
#include "core/ranks/run_lock.h"
#include "core/recipe/run_config.h"
#include "core/text.h"
#include "eval/config.h"
#include "eval/evaluation.h"
#include "eval/predictions/results_table.h"
#include "eval/tasks/registry.h"
#include "model/device/cuda_library.h"
#include "model/engine/engine.h"

namespace retrace::eval {
namespace {

constexpr const char* kLaunchVariable = "RETRACE_EVAL_LAUNCH";
constexpr const char* kRanksFolder = ".ranks";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

int environment_number(std::initializer_list<const char*> names, int fallback) {
  for (const char* name : names)
    if (const std::string value = environment(name); !value.empty()) return std::atoi(value.c_str());
  return fallback;
}

int list_tasks() {
  for (const auto& task : task_listings())
    fmt::print("{:<15} {:<13} {}\n{:<29} needs: {}\n", task.name, task.flavour, task.about, "", task.needs);
  return 0;
}

fs::path out_folder(const Call& call, const Recipe& recipe) {
  if (call.has("out")) return call.option("out", "");
  const auto run = recipe.get<RunConfig>();
  if (!run.dir.empty()) return fs::path(run.dir) / "eval";
  return fs::path("runs") / (run.name.empty() ? recipe.path().stem().string() : run.name) / "eval";
}

// Ranks that a launcher started agree through files in the output folder: nothing here needs a collective.
std::unique_ptr<Coordinator> join_ranks(const fs::path& out, Ranks& ranks) {
  ranks.size = environment_number({"WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"}, 1);
  ranks.rank = environment_number({"RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"}, 0);
  if (ranks.size == 1) return nullptr;
  std::string launch;
  for (const char* name : {kLaunchVariable, "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT",
                           "MASTER_PORT", "SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE"})
    launch += environment(name) + "_";
  for (char& c : launch)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') c = '-';
  auto coordinator = make_folder_coordinator(out / kRanksFolder / launch);
  ranks.coordinator = coordinator.get();
  return coordinator;
}

void evaluate_one(const Call& call, const Recipe& recipe, const std::string& model, const fs::path& out,
                  const Ranks& ranks) {
  const auto config = recipe.get<EvalConfig>();
  const auto run = recipe.get<RunConfig>();
  EvalJob job;
  job.out = out;
  job.ranks = ranks;
  job.stage = call.option("stage", "");
  job.model_name = model;
  const fs::path folder = resolve_path(model);
  job.tokenizer = data::load_tokenizer(folder);
  std::unique_ptr<model::Engine> engine;
  const bool generates = job.stage.empty() || job.stage == "generate";
  if (generates && config.predictions.empty()) {
    model::EngineOptions options;
    options.dtype = config.dtype;
    options.device = config.device;
    // Ranks of a machine follow one another and take its GPUs in turn.
    if (model::choose_device(config.device) == "cuda") model::use_gpu(ranks.rank % model::gpu_count());
    options.threads = static_cast<int>(run.threads);
    engine = model::open_engine(folder, options);
    job.engine = engine.get();
  }
  std::unique_ptr<RunLock> lock;
  if (ranks.first()) lock = std::make_unique<RunLock>(out);
  const Json results = run_evaluation(recipe, job);
  if (!ranks.first()) return;
  if (results.is_object())
    fmt::print("{}\n{}results in {}\n", model, results_table(results), out.string());
  else
    fmt::print("{}: stage {} is complete in {}\n", model, job.stage, out.string());
}

int run_eval(const Call& call, const Schema& schema) {
  if (call.has("list")) return list_tasks();
  const Recipe recipe = load_recipe(call, schema);
  const auto config = recipe.get<EvalConfig>();
  const auto run = recipe.get<RunConfig>();
  if (config.model.empty())
    throw Error(Code::recipe, "no model to evaluate", "name HF folders: eval.model=DIR", "eval.model");
  const fs::path base = out_folder(call, recipe);
  if (run.nproc > 1 && environment("WORLD_SIZE").empty()) {
    setenv(kLaunchVariable, fmt::format("{}-{}", host_name(), getpid()).c_str(), 1);
    const int status = launch_ranks(call.argv, static_cast<int>(run.nproc));
    std::error_code error;
    fs::remove_all(base / kRanksFolder, error);  // what the ranks agreed on is of no use any more
    return status;
  }
  Ranks ranks;
  const auto coordinator = join_ranks(base, ranks);
  std::map<std::string, int> names;
  for (const auto& model : config.model) {
    std::string name = fs::path(model).lexically_normal().filename().string();
    if (name.empty()) name = fs::path(model).lexically_normal().parent_path().filename().string();
    if (const int n = ++names[name]; n > 1) name += fmt::format("-{}", n);
    evaluate_one(call, recipe, model, config.model.size() > 1 ? base / name : base, ranks);
  }
  return 0;
}

}  // namespace

std::vector<Verb> verbs() {
  Verb eval;
  eval.name = "eval";
  eval.arguments = "RECIPE eval.model=DIR [eval.tasks=[..]] [key=value ...]";
  eval.about = "Benchmarks and perplexity of HF folders, in lm-eval's result format";
  eval.options = {{"stage", "STAGE", "Only prepare, generate or score"},
                  {"out", "DIR", "Where prompts, predictions and results go (default: RUN/eval)"},
                  {"list", "", "List the tasks with their flavours and what they need"}};
  eval.takes_recipe = true;
  eval.run = run_eval;
  return {eval};
}

}  // namespace retrace::eval
