// LanguageModel over weights in this process (model/language_model.h). A batch's texts are decoded together;
// each is what the engine alone would give, bit for bit.
#pragma once

#include <memory>

#include "data/tokenizer/tokenizer.h"
#include "model/engine/engine.h"
#include "model/language_model.h"
#include "model/lm_eval_rules.h"

namespace retrace::model {

struct EngineModelOptions {
  int64_t max_length = 0;         // tokens read at once; 0 = the model's max_position_embeddings
  bool add_bos = true;            // in front of prompts and contexts, where the tokenizer has one
  std::string dtype = "float32";  // what the engine computes in, for the identity
};

class EngineModel : public LanguageModel {
 public:
  // `engine` must outlive this.
  EngineModel(Engine& engine, std::shared_ptr<const data::Tokenizer> tokenizer,
              EngineModelOptions options = {});
  Capabilities capabilities() const override;
  std::string identity() const override;  // "engine/WEIGHTS/TOKENIZER/DTYPE"
  std::vector<GeneratedText> generate_until(const std::vector<GenerateRequest>& requests) override;
  std::vector<Loglikelihood> loglikelihood(const std::vector<LoglikelihoodRequest>& requests) override;
  std::vector<Loglikelihood> loglikelihood_rolling(const std::vector<RollingRequest>& requests) override;

 private:
  bool greedy_gives(const ScoredIds& text);

  Engine& engine_;
  std::shared_ptr<const data::Tokenizer> tokenizer_;
  EngineModelOptions options_;
};

// The two steps that these requests are made of, for prompts that are ids already.
//
// Each prompt's text; requests[i].prompt is not looked at. No prompt is empty.
std::vector<GeneratedText> generate_texts(Engine& engine, const data::Tokenizer& tokenizer,
                                          const std::vector<PromptIds>& prompts,
                                          const std::vector<GenerateRequest>& requests);
Loglikelihood rolling_loglikelihood(Engine& engine, const data::Tokenizer& tokenizer, const std::string& text,
                                    int64_t max_length);

}  // namespace retrace::model
