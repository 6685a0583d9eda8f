// From a language model's answers to drafts, by one rule for every backend: an answer that fits a slot is
// taken, another is counted and asked for again with another seed, and what is still refused after
// generator.attempts keeps the template's text (a candidate stays empty), or is Error{incomplete}, as
// generator.on_failure says.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/endpoint/evidence.h"
#include "synth/config.h"
#include "synth/generate/generator.h"
#include "synth/generate/prompts.h"

namespace retrace::synth {

using Counts = std::map<std::string, int64_t>;

class Drafting {
 public:
  // The arguments must outlive this; `author` is noted with texts that the model wrote, `settled` (if any) is
  // called for each request that take() or give_up() settles.
  Drafting(const GeneratorConfig& config, std::string author, const std::vector<SlotRequest>& requests,
           Counts& counts, const std::function<void()>& settled);
  // What came for request i. Returns the attempt to ask for next, or nothing: it is settled.
  std::optional<int> take(size_t i, const model::StoredAnswer& answer);
  void give_up(size_t i, const std::string& problem);
  std::vector<Draft> drafts();  // once everything is settled

 private:
  const GeneratorConfig& config_;
  std::string author_;
  const std::vector<SlotRequest>& requests_;
  Counts& counts_;
  const std::function<void()>& settled_;
  std::vector<Draft> drafts_;
  std::vector<std::string> given_up_;
  std::vector<int> attempts_;
};

uint64_t answer_seed(const SlotRequest& request, int attempt);
// The prompt of a model that does not chat.
std::string plain_prompt(const Prompt& prompt);

}  // namespace retrace::synth
