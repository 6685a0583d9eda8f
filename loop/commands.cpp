// The verbs that need more than one room: run, report, show, export.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "core/failpoint.h"
#include "core/files/paths.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process/process.h"
#include "core/process/signals.h"
#include "core/ranks/run_lock.h"
#include "core/recipe/run_config.h"
#include "core/recipe/run_folder.h"
#include "data/show.h"
#include "eval/report.h"
#include "loop/commands.h"
#include "loop/doctor/doctor.h"
#include "loop/loop.h"
#include "loop/plan/plan_recipe.h"
#include "loop/synth_verb.h"
#include "model/device/cuda_library.h"
#include "synth/config.h"
#include "synth/export.h"
#include "synth/show.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/world.h"

namespace retrace::loop {
namespace {

int run_loop(const Call& call, const Schema& schema) {
  const Recipe recipe = load_recipe(call, schema);
  const auto run = recipe.get<RunConfig>();
  const auto env = train::read_launch_env();
  if (train::starts_own_ranks(env, run.nproc))
    return launch_ranks(call.argv, static_cast<int>(run.nproc),
                        recipe.get<train::CheckpointConfig>().grace_s);
  install_signal_handlers();
  if (std::getenv("RETRACE_LAUNCHER")) die_with_parent();
  arm_failpoints(recipe.get<DebugConfig>().fail_at, env.rank);
  const fs::path folder = run_folder_of(recipe);
  train::World world(env, run.timeout_s, model::choose_device(recipe.get<train::TrainConfig>().device));
  try {
    std::unique_ptr<RunLock> lock;
    first_rank_does(world.ranks(), world.fresh_key("run folder"), world.timeout_s(),
                    [&] { lock = std::make_unique<RunLock>(folder); });
    const fs::path report = Loop(world, recipe, folder).run();
    if (world.first()) std::cout << report.string() << std::endl;
  } catch (const Error& error) {
    world.report_failure(error);
    throw;
  }
  return 0;
}

int report(const Call& call, const Schema& schema) {
  // A run folder, or a recipe whose run folder is meant.
  fs::path folder = call.word(0, "RUN or RECIPE");
  if (folder.extension() == ".toml") folder = run_folder_of(load_recipe(call, schema));
  std::cout << eval::write_report(folder).string() << std::endl;
  return 0;
}

int show(const Call& call, const Schema&) {
  const fs::path path = call.word(0, "FILE");
  if (!fs::exists(path)) throw Error(Code::input, "there is no " + path.string(), "retrace show FILE");
  const std::string as = call.option("as", "terminal");
  const int64_t index = call.integer("index", 0);
  if (index < 0) throw Error(Code::usage, "--index must not be negative", "records are counted from 0");
  const std::string html = call.option("html", ""), colour = call.option("color", "auto");
  if (colour != "auto" && colour != "always" && colour != "never")
    throw Error(Code::usage, "--color " + colour + " is not known", "one of auto, always, never");
  const bool coloured = isatty(STDOUT_FILENO) && std::getenv("NO_COLOR") == nullptr;
  const synth::ShowOptions options = {static_cast<size_t>(index), html.empty() ? as : "html",
                                      colour == "auto" ? coloured : colour == "always", call.has("full")};
  std::ostringstream page;
  if (fs::is_regular_file(path) && synth::show_trajectory(path, options, html.empty() ? std::cout : page)) {
    if (!html.empty()) {
      write_file(html, page.str());
      info("wrote {}", html);
    }
    return 0;
  }
  if (!html.empty()) throw Error(Code::usage, path.string() + " is no trajectory shard: it has no page");
  if (data::show_shard(path, call.option("tokenizer", ""), index)) return 0;
  if (train::is_checkpoint(path)) {
    const Json manifest = parse_json(read_file(path / train::kManifestName), path.string());
    std::cout << to_text(manifest, 1) << std::endl;
    return 0;
  }
  throw Error(Code::input, path.string() + " is no trajectory shard, MDS folder or checkpoint",
              "a run keeps them in rounds/NNN/synth, rounds/NNN/tokens and checkpoints/step-N");
}

int export_something(const Call& call, const Schema&) {
  const fs::path from = call.word(0, "CHECKPOINT or TRAJECTORIES"), to = call.word(1, "TARGET");
  if (train::is_checkpoint(from)) {
    const std::string dtype = call.option("dtype", "bfloat16");
    if (dtype != "bfloat16" && dtype != "float32")
      throw Error(Code::usage, "--dtype " + dtype + " is not known", "use float32 or bfloat16");
    train::export_checkpoint(from, to, dtype, call.option("tokenizer", ""));
    info("wrote the HF folder {}", to.string());
    return 0;
  }
  synth::RenderOptions options;
  options.variant = synth::variant_of(call.option("variant", "repo2agent_search"));
  options.style = call.option("style", "plain");
  const size_t lines = synth::export_trajectories(from, call.option("format", "messages"), options, to);
  info("wrote {} lines to {}", lines, to.string());
  return 0;
}

int plan_verb(const Call& call, const Schema& schema) {
  const Recipe recipe = load_recipe(call, schema);
  const auto gpus = call.integer("gpus", 8);
  if (gpus < 1 || gpus > 65536)
    throw Error(Code::usage, fmt::format("--gpus {} is no number of GPUs", gpus), "1 to 65536");
  const Json plan = plan_recipe(recipe, static_cast<int>(gpus), call.has("dry-run"));
  fmt::print("{}", call.has("json") ? to_text(plan, 1) + "\n" : plan_text(plan));
  return 0;
}

}  // namespace

std::vector<Verb> verbs() {
  return {
      {"run",
       "RECIPE [key=value ...] [--nproc N]",
       "the whole loop: synth, pack, train, eval, round by round; ends with a report",
       {},
       true,
       run_loop},
      {"report", "RUN | RECIPE", "report.html, report.md and report.json of a run folder", {}, false, report},
      {"show",
       "FILE",
       "a trajectory, MDS folder or checkpoint for human eyes",
       {{"as", "FORM", "trajectories: terminal (default), html or json"},
        {"html", "TARGET", "trajectories: write one self-contained page"},
        {"full", "", "terminal: fold nothing"},
        {"color", "WHEN", "terminal: auto (default), always or never"},
        {"index", "N", "which record or sample, from 0"},
        {"tokenizer", "PATH", "MDS: show text instead of counts"}},
       false,
       show},
      {"export",
       "CHECKPOINT DIR | TRAJECTORIES FILE",
       "a checkpoint as a HF folder, or trajectories as JSON lines",
       {{"dtype", "TYPE", "HF folder: bfloat16 (default) or float32"},
        {"tokenizer", "PATH", "HF folder: tokenizer file or folder to put beside the weights"},
        {"format", "NAME", "trajectories: messages (default), sharegpt, atif, text or json"},
        {"variant", "NAME", "trajectories: raw_repos, repo2agent or repo2agent_search (default)"},
        {"style", "NAME", "text form: plain (default), llama3 or chatml"}},
       false,
       export_something},
      {"plan",
       "RECIPE --gpus N [key=value ...]",
       "memory of a rank, time of a step, tokens and cost, before anything starts",
       {{"gpus", "N", "GPUs, one rank each (8)"},
        {"dry-run", "", "also walk a step with stand-in transfers and count them"},
        {"json", "", "as JSON"}},
       true,
       plan_verb},
      synth_verb(),
      doctor_verb(),
  };
}

}  // namespace retrace::loop
