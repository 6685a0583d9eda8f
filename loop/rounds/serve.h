// Where search.serve_command serves the weights of each round: the recipe of the round's synthesis, and the
// server of rank 0 that it asks.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/files/files.h"
#include "core/ranks/ranks.h"
#include "core/recipe/recipe.h"
#include "model/endpoint/served_model.h"

namespace retrace::loop {

// The weights of a round, as they are to be served.
struct RoundWeights {
  std::string model;   // "" = there are none: nothing is searched, and nothing they would write is asked
  fs::path tokenizer;  // for scorer.tokenizer, where the recipe names none
  fs::path folder;     // Hugging Face form; made by `export_to` where that is set
  std::function<void(const fs::path&)> export_to;  // removed again in the end
  int64_t round = 1;
  std::string host;
};

class RoundServer {
 public:
  // Error{recipe} where keys contradict each other. Nothing is started.
  RoundServer(const Recipe& recipe, RoundWeights weights);
  // A copy of the recipe whose [scorer], and [generator] if that is asked for, name the model; the same bytes
  // follow wherever it is served.
  const Recipe& recipe() const { return recipe_; }
  bool searches() const { return !weights_.model.empty(); }
  // Every rank: rank 0 exports and starts, all learn the address.
  void start(const Ranks& ranks, const fs::path& log, double timeout_s);
  void stop();  // and by destruction

 private:
  Recipe recipe_;
  RoundWeights weights_;
  std::unique_ptr<model::ServedModel> served_;
};

}  // namespace retrace::loop
