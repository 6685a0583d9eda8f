#include "synth/stage_models.h"

#include "core/error.h"
#include "core/files.h"
#include "core/paths.h"
#include "core/run_config.h"
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
  return judge != "none" && judge != "previous" && judge != "ppm";
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
  writes_ = recipe.get<SynthConfig>().generator == "local";
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
  if (writes_) job.writer = &writer_;
}

void StageModels::load(SynthJob& job) {
  name(job);
  const model::EngineOptions options = synth_engine_options(recipe_);
  if (searches_) {
    scorer_ = make_local_scorer(current_engine(), current_.tokenizer, max_context_, dtype_);
    job.scorer = scorer_.get();
  }
  if (writes_ && weights_.empty()) {
    writer_.engine = &current_engine();
    writer_.tokenizer = current_.tokenizer;
  } else if (writes_) {
    writer_engine_ = model::open_engine(weights_, options);
    writer_.engine = writer_engine_.get();
    writer_.tokenizer = data::load_tokenizer(weights_);
  }
  if (judge_name_ == "ppm") {
    judge_ = make_ppm_scorer();
  } else if (!judge_name_.empty() && is_folder(judge_name_)) {
    const fs::path folder = resolve_path(judge_name_);
    judge_engine_ = model::open_engine(folder, options);
    judge_ = make_local_scorer(*judge_engine_, data::load_tokenizer(folder), max_context_, dtype_);
  }
  if (judge_) job.judge = judge_.get();
}

model::Engine& StageModels::current_engine() {
  if (!engine_) engine_ = current_.open();
  return *engine_;
}

}  // namespace retrace::synth
