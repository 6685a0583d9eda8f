// A round's synthesis: its slice of repositories, searched with the weights that the round starts from.
#include <algorithm>

#include "core/files/paths.h"
#include "core/process/process.h"
#include "core/recipe/run_config.h"
#include "eval/config.h"
#include "loop/loop.h"
#include "loop/rounds/serve.h"
#include "model/config.h"
#include "model/engine/engine.h"
#include "model/files/weights.h"
#include "synth/config.h"
#include "synth/models.h"
#include "synth/synthesis.h"
#include "train/checkpoint.h"
#include "train/world.h"

namespace retrace::loop {

// Null unless search.serve_command serves the round's weights.
std::unique_ptr<RoundServer> Loop::round_server(int64_t round, const Branch& main) const {
  const auto search = recipe_.get<synth::SearchConfig>();
  if (search.serve_command.empty() || search.preset == "none") return nullptr;
  RoundWeights weights;
  weights.round = round;
  weights.host = world_.env().local_size == world_.size() ? "127.0.0.1" : host_name();
  weights.tokenizer = tokenizer_.path;
  if (main.checkpoint.empty() && base_is_random()) return std::make_unique<RoundServer>(recipe_, weights);
  const auto config = llama_config();
  std::string root;
  if (main.checkpoint.empty()) {
    weights.folder = resolve_path(recipe_.get<model::ModelConfig>().path);
    root = base_weights(config)->fingerprint();
  } else {
    root = train::open_checkpoint_weights(main.checkpoint)->fingerprint();
    weights.folder = main.round(round) / "serve";
    weights.export_to = [this, config, from = main.checkpoint](const fs::path& folder) {
      model::HfFolderOptions options;
      options.dtype = recipe_.get<eval::EvalConfig>().dtype;
      options.tokenizer = tokenizer_.path;
      model::write_hf_folder(folder, config, *train::open_checkpoint_weights(from), options);
    };
  }
  weights.model = weights_name(main) + "-" + root.substr(0, 12);
  std::replace(weights.model.begin(), weights.model.end(), ' ', '-');
  return std::make_unique<RoundServer>(recipe_, weights);
}

void Loop::synthesise(int64_t round, const Branch& main) {
  const auto server = round_server(round, main);
  const Recipe& recipe = server ? server->recipe() : recipe_;
  const auto search = recipe.get<synth::SearchConfig>();
  synth::SynthJob job;
  job.slice = [&](const auto& use) {
    inputs_.each("train", static_cast<int>(round), [&](const synth::SliceEntry& entry) { use(entry.row); });
  };
  job.reading = inputs_.reading;
  job.contamination = inputs_.contamination.get();
  job.out = main.round(round) / "synth";
  job.round = static_cast<int>(round);
  job.ranks = ranks_;

  // Over HTTP the scorer is the endpoint's model, which the stage itself asks.
  const bool over_http = search.preset != "none" && search.scorer == "http";
  synth::CurrentWeights current;
  if (!main.checkpoint.empty() || !base_is_random()) {
    current.name = weights_name(main);
    current.folder = base_is_random() ? tokenizer_.path : resolve_path(recipe.get<model::ModelConfig>().path);
    current.tokenizer = tokenizer_.tokenizer;
    current.open = [&] { return engine_of(main.checkpoint); };
  }
  synth::StageModels models(recipe, current);
  models.name(job);
  const bool local = models.searches(), searching = local || over_http;
  // The judge is the comparison branch of the round before: it took no part in the search and saw none of
  // these files.
  const bool judging =
      searching && search.judge == "previous" && branches_.size() > 1 && !branches_[1].checkpoint.empty();
  scorer_name_ = local ? job.weights_name : "none";
  judge_name_ = judging ? weights_name(branches_[1]) : search.judge == "previous" ? "none" : search.judge;
  if ((searching || job.models.writer != nullptr) && !synth::is_synthesised(recipe, job)) {
    if (server && server->searches()) server->start(ranks_, main.round(round) / "serve.log", timeout_s());
    if (judging) models.judge_by(engine_of(branches_[1].checkpoint), tokenizer_.tokenizer);
    models.load(job);
  }
  synth::run_synthesis(recipe, job);
  if (server) server->stop();
  if (over_http) {
    const fs::path done = job.out / "done.json";
    scorer_name_ = get<std::string>(parse_json(read_file(done), done.string()), "weights", done.string());
  }
}

}  // namespace retrace::loop
