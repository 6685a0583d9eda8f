#include "loop_inputs.h"

#include "core/json.h"
#include "core/log.h"
#include "core/paths.h"
#include "core/run_config.h"
#include "core/signals.h"
#include "data/config.h"
#include "loop.h"
#include "model/model_config.h"
#include "synth/config.h"
#include "synth/slices.h"

namespace retrace {
namespace {

constexpr const char* kPlanFile = "slices.json";

std::string base_name(const std::string& source) {
  const auto path = fs::path(source).lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

synth::SnapshotOptions snapshot_options(const Recipe& recipe) {
  return synth::snapshot_options(recipe.get<synth::SynthConfig>());
}

void write_heldout(const fs::path& run, const std::string& fold,
                   const std::vector<const synth::Snapshot*>& snapshots) {
  std::string text;
  for (const auto* snapshot : snapshots)
    for (const auto& file : snapshot->files)
      if (!file.language.empty())
        text +=
            to_text(
                {{"id", snapshot->origin + "/" + file.path}, {"path", file.path}, {"text", file.content}}) +
            "\n";
  write_file(run / "heldout" / (fold + ".jsonl"), text);
}

void cut_plan(const Recipe& recipe, const fs::path& run) {
  const auto config = recipe.get<synth::SynthConfig>();
  const auto loop = recipe.get<LoopConfig>();
  const auto seed = static_cast<uint64_t>(recipe.get<RunConfig>().seed);
  if (config.input.empty())
    throw Error(Code::recipe, "no input repositories are named",
                "set synth.input to a folder, repository or archive", "synth.input");
  const auto sources = synth::list_repositories(resolve_path(config.input).string());
  std::vector<synth::Snapshot> snapshots;
  std::vector<std::string> kept;
  Json dropped = Json::array();
  {
    Progress progress("reading repositories", sources.size(), "repositories");
    for (const auto& source : sources) {
      throw_if_stopped();
      try {
        snapshots.push_back(synth::take_snapshot(source, snapshot_options(recipe)));
        kept.push_back(source);
      } catch (const Error& error) {
        if (exit_status(error.code()) != 3) throw;
        warn("{} is left out: {}", base_name(source), error.message());
        dropped.push_back({{"name", base_name(source)}, {"reason", error.message()}});
      }
      progress.add();
    }
  }
  if (snapshots.empty())
    throw Error(Code::input, "no repository of " + config.input + " could be read", "see the warnings above");
  const auto slices = synth::cut_slices(snapshots, static_cast<int>(loop.rounds), loop.dev_fraction,
                                        loop.test_fraction, seed);

  std::vector<std::pair<std::string, int>> places(snapshots.size());
  for (size_t r = 0; r < slices.rounds.size(); ++r)
    for (int i : slices.rounds[r]) places[static_cast<size_t>(i)] = {"train", static_cast<int>(r) + 1};
  for (int i : slices.dev) places[static_cast<size_t>(i)] = {"dev", 0};
  for (int i : slices.test) places[static_cast<size_t>(i)] = {"test", 0};
  Json repositories = Json::array();
  std::map<std::string, std::vector<const synth::Snapshot*>> heldout = {{"dev", {}}, {"test", {}}};
  for (size_t i = 0; i < snapshots.size(); ++i) {
    const auto& s = snapshots[i];
    if (places[i].first != "train") heldout[places[i].first].push_back(&s);
    uint64_t bytes = 0;
    for (const auto& file : s.files) bytes += file.content.size();
    std::map<std::string, int64_t> reasons, redactions;
    for (const auto& d : s.dropped) ++reasons[d.reason];
    for (const auto& r : s.redactions) ++redactions[r.kind];
    repositories.push_back({{"source", kept[i]},
                            {"name", base_name(kept[i])},
                            {"kind", s.kind},
                            {"revision", s.revision},
                            {"licence", s.licence},
                            {"fold", places[i].first},
                            {"round", places[i].second},
                            {"cluster", slices.cluster[i]},
                            {"files", s.files.size()},
                            {"bytes", bytes},
                            {"languages", s.bytes_by_language},
                            {"dropped_files", reasons},
                            {"redactions", redactions},
                            {"tree_hash", s.tree_hash}});
  }
  for (const auto& [fold, of_fold] : heldout) write_heldout(run, fold, of_fold);
  write_file(run / kPlanFile, to_text({{"repositories", repositories}, {"dropped", dropped}}, 1) + "\n");
}

}  // namespace

std::vector<int> Plan::of_round(int round) const {
  std::vector<int> out;
  for (size_t i = 0; i < repositories.size(); ++i)
    if (repositories[i].fold == "train" && repositories[i].round == round) out.push_back(static_cast<int>(i));
  return out;
}

std::vector<int> Plan::of_fold(const std::string& fold) const {
  std::vector<int> out;
  for (size_t i = 0; i < repositories.size(); ++i)
    if (repositories[i].fold == fold) out.push_back(static_cast<int>(i));
  return out;
}

Plan prepare_plan(const Recipe& recipe, const fs::path& run, const Ranks& ranks) {
  first_rank_does(ranks, "loop/plan", recipe.get<RunConfig>().timeout_s, [&] {
    if (!fs::exists(run / kPlanFile)) cut_plan(recipe, run);
  });
  const std::string where = (run / kPlanFile).string();
  const Json json = parse_json(read_file(run / kPlanFile), where);
  Plan plan;
  for (const auto& r : get<Json>(json, "repositories", where))
    plan.repositories.push_back({get<std::string>(r, "source", where), get<std::string>(r, "name", where),
                                 get<std::string>(r, "fold", where), get<std::string>(r, "tree_hash", where),
                                 get<int>(r, "round", where), get<int>(r, "cluster", where)});
  return plan;
}

synth::Snapshot snapshot_of(const Recipe& recipe, const Plan::Repository& repository) {
  auto snapshot = synth::take_snapshot(repository.source, snapshot_options(recipe));
  if (snapshot.tree_hash != repository.tree_hash)
    throw Error(Code::input, "repository " + repository.name + " changed since this run began",
                "restore it, or start another run with run.dir=PATH", repository.source);
  return snapshot;
}

RunTokenizer prepare_tokenizer(const Recipe& recipe, const fs::path& run, const Plan& plan,
                               const Ranks& ranks) {
  const auto config = recipe.get<data::TokenizerConfig>();
  const auto model = recipe.get<model::ModelConfig>();
  RunTokenizer out;
  if (!config.path.empty()) {
    out.path = resolve_path(config.path);
  } else if (!model.path.empty()) {
    out.path = resolve_path(model.path);
  } else {
    out.path = run / "tokenizer";
    first_rank_does(ranks, "loop/tokenizer", recipe.get<RunConfig>().timeout_s, [&] {
      if (fs::exists(out.path)) return;
      std::vector<std::string> texts;
      for (int i : plan.of_round(1))
        for (auto& file : snapshot_of(recipe, plan.repositories[static_cast<size_t>(i)]).files)
          texts.push_back(std::move(file.content));
      const fs::path partial = run / "tokenizer.partial";
      fs::remove_all(partial);
      if (config.type == "bpe")
        data::train_byte_bpe(texts, config.vocab_size, config.special, partial);
      else
        data::train_sentencepiece(texts, config.vocab_size, "bpe", config.special, partial);
      rename_durably(partial, out.path);
    });
  }
  out.tokenizer = data::load_tokenizer(out.path);
  return out;
}

}  // namespace retrace
