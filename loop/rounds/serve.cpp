#include "loop/rounds/serve.h"

#include "core/error.h"
#include "synth/config.h"

namespace retrace::loop {

namespace {

using Words = std::vector<std::string>;
constexpr const char* kSetBy = "search.serve_command";

void check(const Recipe& recipe) {
  const auto search = recipe.get<synth::SearchConfig>();
  if (search.scorer != "http")
    throw Error(Code::recipe, "search.serve_command serves a scorer over HTTP, but search.scorer is not http",
                "search.scorer = \"http\"", "search.scorer");
  if (!recipe.get<synth::ScorerConfig>().endpoints.empty())
    throw Error(Code::recipe, "scorer.endpoints and search.serve_command name two scorers",
                "leave the endpoints away", "scorer.endpoints");
  if (search.serve_generator && recipe.get<synth::SynthConfig>().generator != "http")
    throw Error(Code::recipe, "search.serve_generator needs synth.generator = \"http\"", "",
                "search.serve_generator");
}

}  // namespace

RoundServer::RoundServer(const Recipe& recipe, RoundWeights weights)
    : recipe_(recipe), weights_(std::move(weights)) {
  check(recipe);
  const auto search = recipe.get<synth::SearchConfig>();
  if (!searches()) {
    recipe_.set_value("search.scorer", std::string("local"), kSetBy);
    if (search.serve_generator) recipe_.set_value("synth.generator", std::string("template"), kSetBy);
    return;
  }
  recipe_.set_value("scorer.model", weights_.model, kSetBy);
  if (recipe.get<synth::ScorerConfig>().tokenizer.empty())
    recipe_.set_value("scorer.tokenizer", fs::absolute(weights_.tokenizer).string(), kSetBy);
  if (search.serve_generator) recipe_.set_value("generator.model", weights_.model, kSetBy);
}

void RoundServer::start(const Ranks& ranks, const fs::path& log, double timeout_s) {
  const auto search = recipe_.get<synth::SearchConfig>();
  const std::string key = fmt::format("loop/serve/{}", weights_.round);
  std::string url;
  first_rank_does(ranks, key, timeout_s + search.serve_timeout_s, [&] {
    if (weights_.export_to) weights_.export_to(weights_.folder);
    const model::ServedWeights served = {fs::absolute(weights_.folder), weights_.model, weights_.host,
                                         weights_.round};
    served_ =
        std::make_unique<model::ServedModel>(model::ServeOptions{search.serve_command, search.serve_health,
                                                                 search.serve_timeout_s, search.serve_stop_s},
                                             served, log);
    url = served_->url();
    if (ranks.size > 1) ranks.coordinator->set(key + "/url", url);
  });
  if (!ranks.first()) url = ranks.coordinator->wait(key + "/url", timeout_s);
  recipe_.set_value("scorer.endpoints", Words{url}, kSetBy);
  if (search.serve_generator) recipe_.set_value("generator.endpoints", Words{url}, kSetBy);
}

void RoundServer::stop() {
  if (!served_) return;
  served_.reset();
  if (weights_.export_to) fs::remove_all(weights_.folder);
}

}  // namespace retrace::loop
