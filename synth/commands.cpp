// `retrace synth` and `retrace pack`: one stage on a run folder.
#include "synth/commands.h"

#include <fmt/core.h>

#include <iostream>

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "core/paths.h"
#include "core/run_config.h"
#include "core/run_folder.h"
#include "core/run_lock.h"
#include "core/signals.h"
#include "data/config.h"
#include "data/text_domain.h"
#include "model/model_config.h"
#include "synth/config.h"
#include "synth/dry_run.h"
#include "synth/hygiene/config.h"
#include "synth/ledger.h"
#include "synth/pack.h"
#include "synth/stage_models.h"
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

// Names the slice of the round where the run has cut slices, else all that synth.input names.
void name_sources(const SynthConfig& config, const fs::path& run, int64_t round, const UseSource& use) {
  const fs::path slices = run / "slices.json";
  if (fs::exists(slices)) {
    const Json json = parse_json(read_file(slices), "slices.json");
    for (const Json& r : get<Json>(json, "repositories", "slices.json"))
      if (get<std::string>(r, "fold", "slices.json") == "train" &&
          get<int64_t>(r, "round", "slices.json") == round)
        list_source(get<std::string>(r, "source", "slices.json"), use);
    return;
  }
  if (config.input.empty())
    throw Error(Code::recipe, "no input repositories are named",
                "set synth.input to a folder, repository, archive, JSONL file or list", "synth.input");
  list_sources(resolve_path(config.input).string(), use);
}

Contamination contamination_of(const Recipe& recipe) {
  std::vector<fs::path> folders;
  const auto data_dir = std::get<std::string>(recipe.value("eval.data_dir"));
  if (!data_dir.empty()) folders.push_back(resolve_path(data_dir));
  folders.push_back(resolve_path("deps:"));
  Contamination out = Contamination::of(folders);
  for (const auto& [benchmark, n_tasks] : out.tasks())
    if (n_tasks == 0) info("no data of {}: nothing is checked against it (eval.data_dir)", benchmark);
  return out;
}

// One repository after the other, as they are listed; those that cannot be read are told and left out.
int64_t for_each_snapshot(const SynthConfig& config, const SynthJob& job,
                          const std::function<void(const Snapshot&)>& use) {
  int64_t n = 0, n_failed = 0;
  SourceReader reader;
  std::string last;
  job.list([&](const SourceRef& source) {
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
  job.list([&](const SourceRef&) { ++n; });
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

int synth(const Call& call, const Schema& schema) {
  install_signal_handlers();
  const Recipe recipe = load_recipe(call, schema);
  const auto config = recipe.get<SynthConfig>();
  const auto search = recipe.get<SearchConfig>();
  const fs::path run = run_folder_of(recipe);
  const int64_t round = round_of(call);
  const bool dry = call.has("dry-run"), edges = call.has("edges");
  SynthJob job;
  job.out = round_folder(run, round) / "synth";
  job.round = static_cast<int>(round);
  job.list = [&](const UseSource& use) { name_sources(config, run, round, use); };
  job.reading = snapshot_options(config);
  job.hygiene = !fs::exists(run / "slices.json");
  if (edges) {
    for_each_snapshot(config, job, [](const Snapshot& snapshot) { print_edges(snapshot, std::cout); });
    return 0;
  }
  if (dry) {
    dry_run(recipe, job);
    return 0;
  }
  const RunLock lock(run);
  Contamination contamination;
  if (job.hygiene && recipe.get<HygieneConfig>().decontaminate) {
    contamination = contamination_of(recipe);
    job.contamination = &contamination;
  }
  if (call.has("plan")) {
    std::cout << to_text(plan_synthesis(recipe, job), 1) << std::endl;
    return 0;
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
  std::cout << to_text(summary, 1) << std::endl;
  const auto failed = get<int64_t>(summary.at("sources"), "failed", "summary");
  if (failed > 0)
    throw Error(Code::incomplete, fmt::format("{} repositories could not be read", failed),
                "the warnings above and ledger.db name them; the others are done", job.out.string());
  return 0;
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

}  // namespace

std::vector<Verb> verbs() {
  const OptionSpec round = {"round", "N", "which round of the run folder (default 1)"};
  return {{"synth",
           "RECIPE [key=value ...]",
           "trajectories of synth.input, or of a round's slice",
           {{"dry-run", "", "print order, broken cycles and counts; write and ask nothing"},
            {"plan", "", "list and judge the repositories, fill the ledger; make no trajectory"},
            {"edges", "", "print the dependency edges as JSON lines; write nothing"},
            {"weights", "DIR",
             "HF folder that scores the search (default: model.path; without either no search)"},
            round},
           true,
           synth},
          {"pack",
           "RECIPE [key=value ...]",
           "trajectories and plain texts to training sequences",
           {round},
           true,
           pack}};
}

}  // namespace retrace::synth
