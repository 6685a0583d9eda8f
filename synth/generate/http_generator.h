// A language model behind OpenAI-compatible endpoints as a Generator.
#pragma once

#include <string>
#include <vector>

#include "model/endpoint/endpoints.h"
#include "synth/config.h"
#include "synth/generate/drafting.h"
#include "synth/generate/generator.h"
#include "synth/generate/prompts.h"

namespace retrace::synth {

// Answers become drafts as synth/generate/drafting.h says. The result is a function of the requests, the
// configuration and the evidence.
class HttpGenerator : public Generator {
 public:
  // `endpoints` must outlive this.
  HttpGenerator(GeneratorConfig config, Prompts prompts, model::Endpoints& endpoints);
  std::string name() const override;  // "http/MODEL[/DTYPE]/PROMPTS"
  std::string fill(const SlotRequest& request) override;
  std::vector<Draft> fill_all(const std::vector<SlotRequest>& requests) override;

  // Since the last call: answers refused and texts given up, by reason.
  Counts take_counts();

 private:
  model::Ask ask_for(const SlotRequest& request, int attempt) const;
  GeneratorConfig config_;
  Prompts prompts_;
  model::Endpoints& endpoints_;
  Counts counts_;
};

// What of [generator] decides the bytes: all but addresses, time limits and budgets.
std::string generator_identity(const GeneratorConfig& config, const Prompts& prompts);
}  // namespace retrace::synth
