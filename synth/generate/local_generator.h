// Weights in this process as a Generator: the prompts, the parsing, the evidence and the fallback are those
// of a model behind HTTP.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/engine/engine.h"
#include "synth/generate/chat_template.h"
#include "synth/generate/drafting.h"

namespace retrace::synth {

struct LocalWriter {
  model::Engine* engine = nullptr;  // null: a finished stage can be recognised, nothing can be written
  std::shared_ptr<const data::Tokenizer> tokenizer;
  ChatTemplate form = ChatTemplate::none;
  std::string weights_name;       // what the weights are called in records
  std::string dtype = "float32";  // what the engine computes in: part of every question's key
};

// Every answer is kept as it ends, so that a stage that goes on asks nothing twice. A text depends on its own
// prompt and seed alone, not on what is decoded beside it; a prompt that leaves no room for the answer is
// given up. The result is a function of the requests, the configuration and the weights.
class LocalGenerator : public Generator {
 public:
  // `evidence` must outlive this, and so must the writer's engine.
  LocalGenerator(GeneratorConfig config, Prompts prompts, LocalWriter writer, model::Evidence& evidence);
  std::string name() const override;  // "local/WEIGHTS/PROMPTS"
  std::string fill(const SlotRequest& request) override;
  std::vector<Draft> fill_all(const std::vector<SlotRequest>& requests) override;

  Counts take_counts();
  std::function<void()> tick;  // called often; may throw to stop

 private:
  struct Asked;
  Asked ask_for(const SlotRequest& request, size_t number, int attempt) const;
  void answer_all(std::vector<Asked>& asked);
  model::StoredAnswer answer_of(const std::vector<data::TokenId>& made, size_t prompt_tokens) const;

  GeneratorConfig config_;
  Prompts prompts_;
  LocalWriter writer_;
  model::Evidence& evidence_;
  Counts counts_;
};

}  // namespace retrace::synth
