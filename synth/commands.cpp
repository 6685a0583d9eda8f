// `retrace synth` on one rank, and `retrace pack`: one stage on a run folder.
#include "synth/commands.h"

#include <fmt/core.h>

#include <iostream>

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "core/ranks/run_lock.h"
#include "core/recipe/run_config.h"
#include "core/recipe/run_folder.h"
#include "data/config.h"
#include "data/text_domain.h"
#include "model/config.h"
#include "synth/config.h"
#include "synth/dry_run.h"
#include "synth/models.h"
#include "synth/pack.h"
#include "synth/slice_file.h"
#include "synth/stage/ledger.h"
#include "synth/synthesis.h"

namespace retrace::synth {

namespace {

fs::path round_folder(const fs::path& run, int64_t round) {
  return run / "rounds" / fmt::format("{:03}", round);
}

int64_t round_of(const Call& call) {
  const int64_t round = call.integer("round", 1);
  if (round < 1 || round > 999) throw Error(Code::usage, "--round must lie in 1..999");
  return round;
}

// The slice of the round where the run has cut slices, else all that synth.input names.
void name_sources(SynthJob* job, const SynthConfig& config, const fs::path& run) {
  const fs::path slices = run / kSliceFile;
  if (fs::exists(slices)) {
    job->slice = [=, reading = job->reading, round = job->round](const auto& use) {
      each_slice_entry(slices, reading, [&](const SliceEntry& entry) {
        if (entry.fold == "train" && entry.round == round) use(entry.row);
      });
    };
    return;
  }
  if (config.input.empty())
    throw Error(Code::recipe, "no input repositories are named",
                "set synth.input to a folder, repository, archive, JSONL file or list", "synth.input");
  job->list = [input = resolve_path(config.input).string()](const UseSource& use) {
    list_sources(input, use);
  };
}

void each_source(const SynthJob& job, const UseSource& use) {
  if (job.list) return job.list(use);
  job.slice([&](const LedgerRow& row) { use(row.source); });
}

// One repository after the other, as they are listed; those that cannot be read are told and left out.
int64_t for_each_snapshot(const SynthConfig& config, const SynthJob& job,
                          const std::function<void(const Snapshot&)>& use) {
  int64_t n = 0, n_failed = 0;
  SourceReader reader;
  std::string last;
  each_source(job, [&](const SourceRef& source) {
    throw_if_stopped();
    ++n;
    try {
      const Snapshot snapshot = reader.take(source, snapshot_options(config));
      if (snapshot.files.empty()) throw Error(Code::input, "no file is left of it");
      use(snapshot);
    } catch (const Error& error) {
      if (exit_status(error.code()) != 3) throw;
      ++n_failed;
      last = error.message();
      warn("{} is left out: {}", fs::path(source.source).filename().string(), last);
    }
  });
  if (n == n_failed)
    throw Error(Code::input, "no repository could be read: " + last, "see the warnings above");
  return n;
}

// Above this many repositories a dry run tells their number and state instead of each one's plan.
constexpr int64_t kMostShown = 64;

void dry_run(const Recipe& recipe, const SynthJob& job) {
  int64_t n = 0;
  each_source(job, [&](const SourceRef&) { ++n; });
  if (n <= kMostShown)
    for_each_snapshot(recipe.get<SynthConfig>(), job,
                      [&](const Snapshot& snapshot) { print_dry_run(snapshot, recipe, std::cout); });
  std::cout << fmt::format("repositories: {}\n", n);
  for (const auto& [state, count] : ledger_counts(job.out / "ledger.db"))
    std::cout << fmt::format("  {} {}\n", state, count);
}

// --weights, or what the loop would begin with.
CurrentWeights weights_of(const Call& call, const Recipe& recipe) {
  const std::string path = recipe.get<model::ModelConfig>().path;
  CurrentWeights out;
  if (!call.has("weights") && path.empty()) return out;
  out.folder = call.has("weights") ? fs::path(call.option("weights", "")) : resolve_path(path);
  if (!fs::is_directory(out.folder))
    throw Error(call.has("weights") ? Code::usage : Code::recipe,
                fmt::format("there is no folder of weights {}", out.folder.string()),
                "scripts/fetch-smollm2 and `retrace import` make one",
                call.has("weights") ? "" : "model.path");
  out.name = call.has("weights") ? out.folder.filename().string() : "base";
  out.tokenizer = data::load_tokenizer(out.folder);
  out.open = [&recipe, folder = out.folder] {
    return model::open_engine(folder, synth_engine_options(recipe));
  };
  return out;
}

SynthJob job_of(const Call& call, const Recipe& recipe) {
  const auto config = recipe.get<SynthConfig>();
  const fs::path run = run_folder_of(recipe);
  const int64_t round = round_of(call);
  SynthJob job;
  job.out = round_folder(run, round) / "synth";
  job.round = static_cast<int>(round);
  job.reading = snapshot_options(config);
  name_sources(&job, config, run);
  return job;
}

std::shared_ptr<const data::Tokenizer> tokenizer_of(const Recipe& recipe, const fs::path& run) {
  const auto path = std::get<std::string>(recipe.value("tokenizer.path"));
  if (!path.empty()) return data::load_tokenizer(resolve_path(path));
  const auto model = recipe.get<model::ModelConfig>();
  if (!model.path.empty()) return data::load_tokenizer(resolve_path(model.path));
  if (fs::exists(run / "tokenizer")) return data::load_tokenizer(run / "tokenizer");
  throw Error(Code::recipe, "no tokenizer is named and the run has not trained one",
              "set tokenizer.path, or let `retrace run` train one", "tokenizer.path");
}

// Trajectories of the round, unless they have no share in the mixture, and the recipe's plain texts.
int pack(const Call& call, const Schema& schema) {
  install_signal_handlers();
  const Recipe recipe = load_recipe(call, schema);
  const fs::path run = run_folder_of(recipe), folder = round_folder(run, round_of(call));
  const auto config = recipe.get<data::DataConfig>();
  const auto texts = data::text_domains(config);
  const bool trajectories = config.trajectories > 0 || texts.empty();
  if (trajectories && !fs::exists(folder / "synth" / "done.json"))
    throw Error(Code::input, "this round has no finished trajectories", "run `retrace synth` first",
                (folder / "synth").string());
  const RunLock lock(run);
  const auto tokenizer = tokenizer_of(recipe, run);
  for (const auto& text : texts)
    std::cout << to_text(data::pack_text_domain(config, {text.name, resolve_path(text.folder.string()),
                                                         run / "texts" / text.name, tokenizer,
                                                         static_cast<int>(recipe.get<RunConfig>().threads)}),
                         1)
              << std::endl;
  if (!trajectories) return 0;
  PackJob job;
  job.trajectories = folder / "synth";
  job.out = folder / "tokens";
  job.variant = variant_of(recipe.get<SynthConfig>().variant);
  job.tokenizer = tokenizer;
  std::cout << to_text(run_pack(recipe, job), 1) << std::endl;
  return 0;
}

OptionSpec round_option() {
  return {"round", "N", "which round of the run folder (default 1)"};
}

}  // namespace

std::vector<OptionSpec> synth_options() {
  return {
      {"dry-run", "", "print order, broken cycles and counts; write and ask nothing"},
      {"plan", "", "list and judge the repositories, fill the ledger; make no trajectory"},
      {"edges", "", "print the dependency edges as JSON lines; write nothing"},
      {"weights", "DIR", "HF folder that scores the search (default: model.path; without either no search)"},
      round_option()};
}

void look_at_sources(const Call& call, const Recipe& recipe) {
  const SynthJob job = job_of(call, recipe);
  if (call.has("edges"))
    for_each_snapshot(recipe.get<SynthConfig>(), job,
                      [](const Snapshot& snapshot) { print_edges(snapshot, std::cout); });
  else
    dry_run(recipe, job);
}

std::optional<Error> run_synth(const Call& call, const Recipe& recipe, const Ranks& ranks) {
  const auto search = recipe.get<SearchConfig>();
  SynthJob job = job_of(call, recipe);
  job.ranks = ranks;
  const Contamination contamination = job.slice && !slices_are_selected(run_folder_of(recipe) / kSliceFile)
                                          ? Contamination()
                                          : contamination_of(recipe);
  for (const auto& [benchmark, n_tasks] : contamination.tasks())
    if (n_tasks == 0 && ranks.first())
      info("no data of {}: nothing is checked against it (eval.data_dir)", benchmark);
  if (!contamination.tasks().empty()) job.contamination = &contamination;
  if (call.has("plan")) {
    const Json counts = plan_synthesis(recipe, job);
    if (ranks.first()) std::cout << to_text(counts, 1) << std::endl;
    return std::nullopt;
  }
  if (search.preset != "none" && search.scorer == "http" && call.has("weights"))
    throw Error(Code::usage, "--weights and search.scorer = \"http\" are two scorers", "name one of them");
  StageModels models(recipe, weights_of(call, recipe));
  if (!models.searches() && search.preset != "none" && search.scorer == "local")
    info("neither --weights nor model.path: first drafts are kept, nothing is searched");
  if (search.preset != "none" && search.judge == "previous")
    info("search.judge = \"previous\" is the loop's comparison branch; this stage alone has no judge");
  models.load(job);
  const Json summary = run_synthesis(recipe, job);
  if (ranks.first()) std::cout << to_text(summary, 1) << std::endl;
  const auto failed = get<int64_t>(summary.at("sources"), "failed", "summary");
  if (failed == 0) return std::nullopt;
  return Error(Code::incomplete, fmt::format("{} repositories could not be read", failed),
               "the warnings above and ledger.db name them; the others are done", job.out.string());
}

std::vector<Verb> verbs() {
  return {{"pack",
           "RECIPE [key=value ...]",
           "trajectories and plain texts to training sequences",
           {round_option()},
           true,
           pack}};
}

}  // namespace retrace::synth
