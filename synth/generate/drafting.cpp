#include "synth/generate/drafting.h"

#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "synth/generate/answer.h"

namespace retrace::synth {

namespace {

constexpr uint64_t kSeeds = uint64_t{1} << 31;

}  // namespace

uint64_t answer_seed(const SlotRequest& r, int attempt) {
  const uint64_t stream = stream_id(fmt::format("{}:{}:{}", r.trajectory->id, r.step->seq, r.candidate));
  return random_u64(r.seed, stream, static_cast<uint64_t>(attempt)) % kSeeds;
}

std::string plain_prompt(const Prompt& prompt) {
  return prompt.system + "\n\n" + prompt.user + "\n\nThe note:\n";
}

Drafting::Drafting(const GeneratorConfig& config, std::string author,
                   const std::vector<SlotRequest>& requests, Counts& counts,
                   const std::function<void()>& settled)
    : config_(config),
      author_(std::move(author)),
      requests_(requests),
      counts_(counts),
      settled_(settled),
      drafts_(requests.size()),
      given_up_(requests.size()),
      attempts_(requests.size(), 0) {}

std::optional<int> Drafting::take(size_t i, const model::StoredAnswer& answer) {
  const AnswerRules rules = {config_.api == "chat", static_cast<size_t>(config_.max_chars),
                             config_.max_code_lines};
  CheckedAnswer checked;
  if (answer.status == 200)
    checked = check_answer(answer.body, rules);
  else
    checked.problem = answer.status == 0 ? "oversized" : fmt::format("http_{}", answer.status);
  if (checked.problem.empty()) {
    drafts_[i] = {std::move(checked.text), author_};
    if (settled_) settled_();
    return std::nullopt;
  }
  ++counts_["refused_" + checked.problem];
  debug("an answer of the generator is refused: {}", checked.problem);
  // A request that the server finds wrong is wrong with another seed too.
  if (answer.status < 400 && ++attempts_[i] < config_.attempts) return attempts_[i];
  give_up(i, checked.problem);
  return std::nullopt;
}

void Drafting::give_up(size_t i, const std::string& problem) {
  given_up_[i] = problem;
  if (settled_) settled_();
}

std::vector<Draft> Drafting::drafts() {
  const std::unique_ptr<Generator> fallback = make_template_generator();
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (given_up_[i].empty()) continue;
    if (config_.on_failure == "stop")
      throw Error(Code::incomplete,
                  fmt::format("the generator gave no usable text for step {} of {}: {}",
                              requests_[i].step->seq, requests_[i].trajectory->origin, given_up_[i]),
                  "another model or prompt, or generator.on_failure = \"template\"", "generator.on_failure");
    ++counts_["given_up_" + given_up_[i]];
    drafts_[i] = {requests_[i].incumbent.empty() ? fallback->fill(requests_[i]) : "", fallback->name()};
  }
  return std::move(drafts_);
}

}  // namespace retrace::synth
