// The weights in this process that a synthesis stage asks for: who writes, who scores, who judges, as the
// recipe names them.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/recipe/recipe.h"
#include "model/engine/engine.h"
#include "model/engine/shared_engine.h"
#include "synth/generate/local_generator.h"
#include "synth/stage/job.h"

namespace retrace::synth {

// The weights of the moment: those that a search is scored by, and that write where nothing else is named.
struct CurrentWeights {
  std::string name;              // what records call them; "" = there are none
  std::filesystem::path folder;  // of their tokenizer and chat template
  std::shared_ptr<const data::Tokenizer> tokenizer;
  std::function<std::unique_ptr<model::Engine>()> open;
};

// Of an engine for synthesis: eval.dtype, run.threads, generator.batch.
model::EngineOptions synth_engine_options(const Recipe& recipe);

class StageModels {
 public:
  // Error{recipe} where a generator or a judge that is named cannot be had.
  StageModels(const Recipe& recipe, CurrentWeights current);
  // Names in `job` what it will need (the dtype too, where it is not float32), and loads nothing: enough to
  // recognise a finished stage. `this` must outlive the job.
  void name(SynthJob& job);
  // Before load(): the judge's weights, where the recipe names none itself.
  void judge_by(std::unique_ptr<model::Engine> engine, std::shared_ptr<const data::Tokenizer> tokenizer);
  // Loads it. One engine where the same weights write and score. Where a language model is asked, here or
  // over HTTP, several workers share the engines (generator.repositories).
  void load(SynthJob& job);
  bool searches() const { return searches_; }  // with the current weights

 private:
  // What one worker uses; its engines are handles where there are several workers.
  struct Worker {
    std::unique_ptr<model::Engine> current, writer, judge;
    LocalWriter write;
    std::unique_ptr<Scorer> scorer, judging;
  };
  // An engine, and what several workers use it through.
  struct Opened {
    std::unique_ptr<model::Engine> engine;
    std::unique_ptr<model::SharedEngine> shared;
    model::Engine* use(std::unique_ptr<model::Engine>& handle) const;
  };
  void open(Opened& opened, std::unique_ptr<model::Engine> engine) const;
  SynthModels models_of(Worker& worker);
  const Recipe& recipe_;
  CurrentWeights current_;
  bool writes_ = false, searches_ = false;
  std::string dtype_, weights_, judge_name_;
  int64_t max_context_ = 0;
  size_t n_workers_ = 1;
  LocalWriter writer_;
  std::shared_ptr<const data::Tokenizer> judge_tokenizer_;
  Opened current_engine_, writer_engine_, judge_engine_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace retrace::synth
