#include "train/commands.h"

#include <cstdlib>

#include "core/error.h"
#include "core/failpoint.h"
#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process/process.h"
#include "core/process/signals.h"
#include "core/ranks/run_lock.h"
#include "core/recipe/run_config.h"
#include "core/recipe/run_folder.h"
#include "data/config.h"
#include "data/tokenizer/tokenizer_files.h"
#include "model/config.h"
#include "model/device/cuda_library.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/trainer.h"

namespace retrace::train {
namespace {

fs::path round_folder(const fs::path& run, int round) {
  return run / "rounds" / fmt::format("{:03}", round);
}

// The tokens of a round: one MDS data set, or one a domain in sub-folders; then the recipe's further data
// sets.
std::vector<data::MixtureDomain> domains_of(const Recipe& recipe, const fs::path& run, int round) {
  const auto config = recipe.get<data::DataConfig>();
  const fs::path tokens = round_folder(run, round) / "tokens";
  std::vector<data::MixtureDomain> domains;
  if (fs::exists(tokens / "index.json")) {
    domains.push_back({"trajectories", tokens, config.trajectories});
  } else if (fs::is_directory(tokens)) {
    for (const std::string& name : list_folder(tokens))
      if (fs::exists(tokens / name / "index.json"))
        domains.push_back({name, tokens / name, config.trajectories});
  }
  for (const data::MixtureDomain& extra : data::extra_domains(config)) domains.push_back(extra);
  std::erase_if(domains, [](const data::MixtureDomain& domain) { return domain.weight <= 0; });
  if (domains.empty())
    throw Error(
        Code::input, fmt::format("no tokens to train on: '{}' holds no data set", tokens.string()),
        "run `retrace pack` first, or name MDS folders in data.mds_folders, mds_names and mds_weights");
  return domains;
}

// tokenizer.path, else the run's own, else the one in the model's folder.
fs::path tokenizer_of(const Recipe& recipe, const fs::path& run) {
  const auto config = recipe.get<data::TokenizerConfig>();
  if (!config.path.empty()) return resolve_path(config.path);
  if (fs::exists(run / "tokenizer")) return run / "tokenizer";
  const auto model = recipe.get<model::ModelConfig>();
  if (model.path.empty()) return {};
  const fs::path folder = resolve_path(model.path);
  return data::has_tokenizer(folder) ? folder : fs::path();
}

void fill_in_tokenizer(const Recipe& recipe, const fs::path& run, TrainJob& job) {
  job.tokenizer = tokenizer_of(recipe, run);
  if (!job.tokenizer.empty()) {
    const auto tokenizer = data::load_tokenizer(job.tokenizer);
    job.tokenizer_fingerprint = tokenizer->fingerprint();
    job.vocab_size = tokenizer->vocab_size();
    job.pad = data::pad_token(*tokenizer);
    return;
  }
  const auto model = recipe.get<model::ModelConfig>();
  if (!model.path.empty())
    job.vocab_size = model::read_llama_config(resolve_path(model.path)).vocab_size;
  else if (recipe.is_set("tokenizer.vocab_size"))
    job.vocab_size = recipe.get<data::TokenizerConfig>().vocab_size;
  else
    throw Error(Code::recipe, "the vocabulary is not known: no tokenizer, no model folder",
                "set tokenizer.path, or tokenizer.vocab_size if the tokens come without a tokenizer",
                "tokenizer.path");
}

// A later round continues from the last checkpoint of the one before it.
void fill_in_start(const fs::path& run, TrainJob& job) {
  if (job.round == 1) return;
  for (const CheckpointFolder& folder : list_checkpoints(run / "checkpoints")) {
    TrainProgress progress;
    try {
      progress = read_manifest(folder.path).progress;
    } catch (const Error& error) {
      warn("refusing '{}': {}", folder.path.string(), error.what());
      continue;
    }
    if (progress.round != job.round - 1 || !progress.round_done) continue;
    job.start = folder.path.string();
    job.first_step = progress.step;
    return;
  }
  throw Error(Code::input, fmt::format("round {} is not done: it left no last checkpoint", job.round - 1),
              fmt::format("train round {} first", job.round - 1), (run / "checkpoints").string());
}

void train_on(World& world, const Recipe& recipe, int round) {
  const fs::path run = run_folder_of(recipe);
  std::unique_ptr<RunLock> lock;
  first_rank_does(world.ranks(), world.fresh_key("run folder"), world.timeout_s(), [&] {
    lock = std::make_unique<RunLock>(run);
    write_run_files(recipe, run,
                    {"", world.env().launcher, world.size(),
                     compute_threads(recipe.get<RunConfig>().threads, world.env(),
                                     recipe.get<TrainConfig>().virtual_ranks)});
  });
  TrainJob job;
  job.run_folder = run;
  job.round = round;
  job.domains = domains_of(recipe, run, round);
  fill_in_tokenizer(recipe, run, job);
  fill_in_start(run, job);
  const TrainResult result = run_training(world, recipe, job);
  if (world.first()) fmt::print("{}\n", result.checkpoint.string());
}

int train_verb(const Call& call, const Schema& schema) {
  const Recipe recipe = load_recipe(call, schema);
  const auto config = recipe.get<RunConfig>();
  const auto nproc = call.integer("nproc", config.nproc);
  if (nproc < 1) throw Error(Code::usage, "--nproc needs a number of ranks above 0");
  const LaunchEnv env = read_launch_env();
  if (starts_own_ranks(env, nproc))
    return launch_ranks(call.argv, static_cast<int>(nproc), recipe.get<CheckpointConfig>().grace_s);
  install_signal_handlers();
  if (std::getenv("RETRACE_LAUNCHER")) die_with_parent();
  arm_failpoints(recipe.get<DebugConfig>().fail_at, env.rank);
  World world(env, config.timeout_s, model::choose_device(recipe.get<TrainConfig>().device));
  try {
    train_on(world, recipe, static_cast<int>(call.integer("round", 1)));
  } catch (const Error& error) {
    world.report_failure(error);
    throw;
  }
  return 0;
}

// A run that nobody holds cannot be asked: then the lock can be had.
int save_verb(const Call& call, const Schema&) {
  const fs::path run = call.word(0, "a run folder");
  if (!fs::is_directory(run)) throw Error(Code::input, fmt::format("no run folder '{}'", run.string()));
  bool held = false;
  try {
    const RunLock lock(run);
  } catch (const Error& error) {
    if (error.code() != Code::io) throw;
    held = true;
  }
  if (!held) throw Error(Code::input, fmt::format("no job is running on '{}'", run.string()));
  write_file(run / kSaveRequestName, "");
  info("asked for a checkpoint; it is written at the end of the present step");
  return 0;
}

}  // namespace

std::vector<Verb> verbs() {
  return {{"train",
           "RECIPE [key=value ...]",
           "train a round on its packed tokens",
           {{"nproc", "N", "ranks to start on this machine (run.nproc)"},
            {"round", "N", "the round to train; 1 if not given"}},
           true,
           train_verb},
          {"save", "RUN", "ask the job that runs on a folder for a checkpoint now", {}, false, save_verb}};
}

}  // namespace retrace::train
