#include "synth/models.h"

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/recipe/run_config.h"
#include "synth/config.h"

namespace retrace::synth {

namespace {

// A folder's own name, however its path is written.
std::string folder_name(const fs::path& folder) {
  const fs::path plain = folder.lexically_normal();
  return plain.has_filename() ? plain.filename().string() : plain.parent_path().filename().string();
}

// Weights in bf16 are others than in fp32: records and finished stages tell them apart by name.
std::string named(const std::string& weights, const std::string& dtype) {
  return dtype == "float32" ? weights : weights + " " + dtype;
}

bool is_folder(const std::string& judge) {
  return !judge.empty() && judge != "none" && judge != "previous" && judge != "ppm";
}

}  // namespace

model::EngineOptions synth_engine_options(const Recipe& recipe) {
  model::EngineOptions options;
  options.dtype = std::get<std::string>(recipe.value("eval.dtype"));
  options.device = std::get<std::string>(recipe.value("eval.device"));
  options.threads = static_cast<int>(recipe.get<RunConfig>().threads);
  options.decode_rows = recipe.get<GeneratorConfig>().batch;
  return options;
}

StageModels::StageModels(const Recipe& recipe, CurrentWeights current)
    : recipe_(recipe), current_(std::move(current)), dtype_(synth_engine_options(recipe).dtype) {
  const auto search = recipe.get<SearchConfig>();
  const auto generator = recipe.get<GeneratorConfig>();
  const bool has_weights = !current_.name.empty();
  searches_ = search.preset != "none" && search.scorer == "local" && has_weights;
  max_context_ = search.max_context;
  if (search.preset != "none") judge_name_ = search.judge;
  if (is_folder(search.judge) && !fs::is_directory(resolve_path(search.judge)))
    throw Error(Code::recipe, fmt::format("search.judge is no folder: {}", search.judge),
                "none, previous, ppm, or a Hugging Face folder", "search.judge");
  const std::string kind = recipe.get<SynthConfig>().generator;
  writes_ = kind == "local";
  if (writes_ || kind == "http" || (search.preset != "none" && search.scorer == "http"))
    n_workers_ = static_cast<size_t>(generator.repositories);
  if (!writes_) return;
  if (generator.weights.empty() && !has_weights)
    throw Error(Code::recipe, "synth.generator = \"local\" has no weights to write with",
                "name a Hugging Face folder; random weights cannot write", "generator.weights");
  const fs::path folder = generator.weights.empty() ? current_.folder : resolve_path(generator.weights);
  weights_ = generator.weights.empty() ? "" : folder.string();
  writer_.weights_name = named(generator.weights.empty() ? current_.name : folder_name(folder), dtype_);
  writer_.dtype = dtype_;
  if (generator.api == "chat") writer_.form = chat_template_of(generator.chat_template, folder);
}

void StageModels::name(SynthJob& job) {
  if (searches_) job.weights_name = named(current_.name, dtype_);
  if (writes_) job.models.writer = &writer_;
}

void StageModels::load(SynthJob& job) {
  name(job);
  const model::EngineOptions options = synth_engine_options(recipe_);
  if (searches_ || (writes_ && weights_.empty())) open(current_engine_, current_.open());
  if (writes_ && weights_.empty()) {
    writer_.tokenizer = current_.tokenizer;
  } else if (writes_) {
    open(writer_engine_, model::open_engine(weights_, options));
    writer_.tokenizer = data::load_tokenizer(weights_);
  }
  if (is_folder(judge_name_)) {
    const fs::path folder = resolve_path(judge_name_);
    judge_by(model::open_engine(folder, options), data::load_tokenizer(folder));
  }
  for (size_t i = 0; i < n_workers_; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    const SynthModels models = models_of(*workers_.back());
    if (i == 0) job.models = models;
    if (n_workers_ > 1) job.workers.push_back(models);
  }
}

void StageModels::judge_by(std::unique_ptr<model::Engine> engine,
                           std::shared_ptr<const data::Tokenizer> tokenizer) {
  open(judge_engine_, std::move(engine));
  judge_tokenizer_ = std::move(tokenizer);
}

void StageModels::open(Opened& opened, std::unique_ptr<model::Engine> engine) const {
  opened.engine = std::move(engine);
  if (n_workers_ > 1) opened.shared = std::make_unique<model::SharedEngine>(*opened.engine);
}

model::Engine* StageModels::Opened::use(std::unique_ptr<model::Engine>& handle) const {
  if (!shared) return engine.get();
  handle = shared->handle();
  return handle.get();
}

SynthModels StageModels::models_of(Worker& worker) {
  SynthModels models;
  model::Engine* const current = current_engine_.use(worker.current);
  if (searches_) {
    worker.scorer = make_local_scorer(*current, current_.tokenizer, max_context_, dtype_);
    models.scorer = worker.scorer.get();
  }
  if (writes_) {
    worker.write = writer_;
    worker.write.engine = weights_.empty() ? current : writer_engine_.use(worker.writer);
    models.writer = &worker.write;
  }
  if (judge_name_ == "ppm") worker.judging = make_ppm_scorer();
  if (judge_engine_.engine)
    worker.judging =
        make_local_scorer(*judge_engine_.use(worker.judge), judge_tokenizer_, max_context_, dtype_);
  models.judge = worker.judging.get();
  return models;
}

}  // namespace retrace::synth
