// What a synthesis stage needs to ask language models over HTTP: evidence, budgets, endpoints, and the
// Generator and Scorer that the recipe names. No server is asked, and no key read, before an answer is
// missing from the evidence: a stage whose answers are all there replays without servers.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/json.h"
#include "core/ranks.h"
#include "core/recipe.h"
#include "synth/endpoint/evidence.h"
#include "synth/generator.h"
#include "synth/scorer.h"

namespace retrace::synth {

class HttpBackends {
 public:
  // `out`: the stage's folder; items live in out/items, what was published in out/evidence.db.
  HttpBackends(const Recipe& recipe, const std::filesystem::path& out, const Ranks& ranks,
               const std::string& key);
  ~HttpBackends();

  Generator* generator();  // null unless synth.generator is "http"
  Scorer* scorer();        // null unless search.scorer is "http" and something is searched
  // What of both decides the bytes, beyond [synth] and [search]; "" where nothing is asked over HTTP.
  const std::string& identity() const;

  void start();  // before the first item: counts what was spent; all ranks meet here
  void open_item(const std::string& name, std::function<void()> tick);
  // Ends the item: {evidence_root, counts}; null where nothing is asked over HTTP.
  Json close_item();
  void publish();  // rank 0, once every item is done: merges the evidence

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::synth
