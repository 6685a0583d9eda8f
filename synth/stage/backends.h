// What a synthesis stage needs to ask language models, over HTTP or in this process: evidence, budgets,
// endpoints, and the Generator and Scorer that the recipe names. No server is asked, no key read and nothing
// decoded before an answer is missing from the evidence: a stage whose answers are all there replays.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/json.h"
#include "core/ranks/ranks.h"
#include "core/recipe/recipe.h"
#include "model/endpoint/evidence.h"
#include "synth/generate/generator.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

struct LocalWriter;

class Backends {
 public:
  // `out`: the stage's folder; items live in out/items, what was published in out/evidence.db. `writer`: the
  // weights of synth.generator = "local", else null. `beside`: those of another thread of this rank, with
  // which these share what is known of the servers, and the budgets.
  Backends(const Recipe& recipe, const std::filesystem::path& out, const Ranks& ranks, const std::string& key,
           const LocalWriter* writer, const Backends* beside = nullptr);
  ~Backends();

  Generator* generator();  // null unless synth.generator is "http" or "local"
  Scorer* scorer();        // null unless search.scorer is "http" and something is searched
  // What of both decides the bytes, beyond [synth] and [search]; "" where no language model is asked.
  const std::string& identity() const;
  // Hash of the local generator's weights; "" without one, or where they are not loaded.
  const std::string& writer_weights() const;

  // Before the first item, by one thread of each rank: counts what was spent. All ranks meet here.
  void start();
  void open_item(const std::string& name, std::function<void()> tick);
  // Ends the item: {evidence_root, counts}; null where no language model is asked.
  Json close_item();
  void publish();  // rank 0, once every item is done: merges the evidence

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::synth
