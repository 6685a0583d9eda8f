// A language model behind OpenAI-compatible endpoints as a Generator.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "synth/endpoint/config.h"
#include "synth/endpoint/endpoints.h"
#include "synth/generate/prompts.h"
#include "synth/generator.h"

namespace retrace::synth {

// A text is asked for up to `attempts` times, each with another seed. What is still refused then keeps the
// template's text (a candidate stays empty), or is Error{incomplete}, as generator.on_failure says. The
// result is a function of the requests, the configuration and the evidence.
class HttpGenerator : public Generator {
 public:
  // `endpoints` must outlive this.
  HttpGenerator(GeneratorConfig config, Prompts prompts, Endpoints& endpoints);
  std::string name() const override;  // "http/MODEL/PROMPTS"
  std::string fill(const SlotRequest& request) override;
  std::vector<Draft> fill_all(const std::vector<SlotRequest>& requests) override;

  // Since the last call: answers refused and texts given up, by reason.
  std::map<std::string, int64_t> take_counts();

 private:
  Ask ask_for(const SlotRequest& request, int attempt) const;
  GeneratorConfig config_;
  Prompts prompts_;
  Endpoints& endpoints_;
  std::unique_ptr<Generator> fallback_;
  std::map<std::string, int64_t> counts_;
};

// What of [generator] decides the bytes: all but addresses, time limits and budgets.
std::string generator_identity(const GeneratorConfig& config, const Prompts& prompts);
EndpointOptions endpoint_options(const GeneratorConfig& config);
BudgetLimits budget_limits(const GeneratorConfig& config);

}  // namespace retrace::synth
