// `retrace synth` and `retrace pack`: one stage on a run folder.
#include "synth/commands.h"

#include <fmt/core.h>

#include <iostream>

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "core/paths.h"
#include "core/run_config.h"
#include "core/run_lock.h"
#include "core/signals.h"
#include "model/model_config.h"
#include "synth/config.h"
#include "synth/dry_run.h"
#include "synth/pack.h"
#include "synth/synthesis.h"

namespace retrace::synth {

namespace {

fs::path run_folder(const Recipe& recipe) {
  const auto run = recipe.get<RunConfig>();
  if (!run.dir.empty()) return run.dir;
  return fs::path("runs") / (run.name.empty() ? recipe.path().stem().string() : run.name);
}

fs::path round_folder(const fs::path& run, int64_t round) {
  return run / "rounds" / fmt::format("{:03}", round);
}

int64_t round_of(const Call& call) {
  const int64_t round = call.integer("round", 1);
  if (round < 1 || round > 999) throw Error(Code::usage, "--round must lie in 1..999");
  return round;
}

SnapshotOptions snapshot_options(const SynthConfig& config) {
  SnapshotOptions options;
  options.max_file_bytes = static_cast<uint64_t>(config.max_file_kib) << 10;
  options.keep_tests = config.keep_tests;
  options.keep_documentation = config.keep_documentation;
  return options;
}

// The slice of the round where the run has cut slices, else all that synth.input names.
std::vector<std::string> sources_of(const SynthConfig& config, const fs::path& run, int64_t round) {
  const fs::path slices = run / "slices.json";
  if (fs::exists(slices)) {
    const Json json = parse_json(read_file(slices), "slices.json");
    std::vector<std::string> out;
    for (const Json& r : get<Json>(json, "repositories", "slices.json"))
      if (get<std::string>(r, "fold", "slices.json") == "train" &&
          get<int64_t>(r, "round", "slices.json") == round)
        out.push_back(get<std::string>(r, "source", "slices.json"));
    return out;
  }
  if (config.input.empty())
    throw Error(Code::recipe, "no input repositories are named",
                "set synth.input to a folder, repository or archive", "synth.input");
  return list_repositories(resolve_path(config.input).string());
}

std::vector<Snapshot> take_all(const SynthConfig& config, const fs::path& run, int64_t round) {
  std::vector<Snapshot> out;
  const std::vector<std::string> sources = sources_of(config, run, round);
  Progress progress("reading repositories", sources.size(), "repositories");
  for (const std::string& source : sources) {
    throw_if_stopped();
    try {
      out.push_back(take_snapshot(source, snapshot_options(config)));
    } catch (const Error& error) {
      if (sources.size() == 1 || exit_status(error.code()) != 3) throw;
      warn("{} is left out: {}", fs::path(source).filename().string(), error.message());
    }
    progress.add();
  }
  if (out.empty()) throw Error(Code::input, "no repository could be read", "see the warnings above");
  return out;
}

int synth(const Call& call, const Schema& schema) {
  install_signal_handlers();
  const Recipe recipe = load_recipe(call, schema);
  const auto config = recipe.get<SynthConfig>();
  const auto search = recipe.get<SearchConfig>();
  const fs::path run = run_folder(recipe);
  const int64_t round = round_of(call);
  const bool dry = call.has("dry-run"), edges = call.has("edges");
  if (dry || edges) {
    for (const Snapshot& snapshot : take_all(config, run, round)) {
      if (edges)
        print_edges(snapshot, std::cout);
      else
        print_dry_run(snapshot, recipe, std::cout);
    }
    return 0;
  }
  const RunLock lock(run);
  const std::vector<Snapshot> snapshots = take_all(config, run, round);
  std::unique_ptr<model::Engine> engine;
  std::unique_ptr<Scorer> scorer;
  SynthJob job;
  job.out = round_folder(run, round) / "synth";
  job.round = static_cast<int>(round);
  job.snapshots = &snapshots;
  for (size_t i = 0; i < snapshots.size(); ++i) job.which.push_back(static_cast<int>(i));
  if (search.preset != "none" && search.scorer == "http") {
    if (call.has("weights"))
      throw Error(Code::usage, "--weights and search.scorer = \"http\" are two scorers", "name one of them");
  } else if (call.has("weights") && search.preset != "none") {
    const fs::path folder = call.option("weights", "");
    model::EngineOptions options;
    options.threads = static_cast<int>(recipe.get<RunConfig>().threads);
    engine = model::open_engine(folder, options);
    scorer = make_local_scorer(*engine, data::load_tokenizer(folder), search.max_context);
    job.scorer = scorer.get();
    job.weights_name = folder.filename().string();
  } else if (search.preset != "none") {
    info("no --weights: first drafts are kept, nothing is searched");
  }
  const Json summary = run_synthesis(recipe, job);
  std::cout << to_text(summary, 1) << std::endl;
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

int pack(const Call& call, const Schema& schema) {
  install_signal_handlers();
  const Recipe recipe = load_recipe(call, schema);
  const fs::path run = run_folder(recipe), folder = round_folder(run, round_of(call));
  if (!fs::exists(folder / "synth" / "done.json"))
    throw Error(Code::input, "this round has no finished trajectories", "run `retrace synth` first",
                (folder / "synth").string());
  const RunLock lock(run);
  PackJob job;
  job.trajectories = folder / "synth";
  job.out = folder / "tokens";
  job.variant = variant_of(recipe.get<SynthConfig>().variant);
  job.tokenizer = tokenizer_of(recipe, run);
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
            {"edges", "", "print the dependency edges as JSON lines; write nothing"},
            {"weights", "DIR", "HF folder that scores the search (default: first drafts, no search)"},
            round},
           true,
           synth},
          {"pack", "RECIPE [key=value ...]", "trajectories to training sequences", {round}, true, pack}};
}

}  // namespace retrace::synth
