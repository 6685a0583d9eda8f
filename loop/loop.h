// One run of the loop. Every rank runs this; stages share their work through the world's coordinator and
// collectives.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "data/mixture/mixture.h"
#include "loop/config.h"
#include "loop/rounds/inputs.h"
#include "model/llama_config.h"

namespace retrace::model {
class Engine;
class WeightSource;
}  // namespace retrace::model

namespace retrace::train {
class World;
}

namespace retrace::loop {

class RoundServer;

class Loop {
 public:
  Loop(train::World& world, const Recipe& recipe, fs::path run);
  ~Loop();
  // All rounds, the final evaluation and the report, from wherever an earlier process was interrupted.
  // Returns the path of the report.
  fs::path run();

 private:
  // One variant's line of models: the main one in the run folder, comparisons in RUN/compare/VARIANT.
  struct Branch {
    std::string variant;
    fs::path folder;
    std::string checkpoint;  // newest; "" before the first round
    int64_t step = 0;        // global step of that checkpoint

    fs::path round(int64_t number) const { return folder / "rounds" / fmt::format("{:03d}", number); }
    bool has_trajectories() const { return variant != kMixtureOnly; }
  };
  // The paper's first column: no trajectories, only what they would be mixed with.
  static constexpr const char* kMixtureOnly = "prolong";

  void write_run_files();
  bool resume_round(int64_t round);
  void do_round(int64_t round);
  std::unique_ptr<RoundServer> round_server(int64_t round, const Branch& main) const;
  void synthesise(int64_t round, const Branch& main);
  void pack_texts();
  void pack(int64_t round, const Branch& branch);
  std::vector<data::MixtureDomain> domains(int64_t round, const Branch& branch) const;
  Json train(int64_t round, Branch& branch, const Json& main_train);
  Json heldout_before(int64_t round, const Branch& branch);
  Json heldout(const Branch& branch, const fs::path& out);
  Json evaluate(const Branch& branch, const fs::path& out, const std::vector<std::string>& tasks,
                const std::map<std::string, fs::path>& sets);
  void finish();
  std::unique_ptr<model::Engine> engine_of(const std::string& checkpoint) const;
  std::unique_ptr<model::WeightSource> base_weights(const model::LlamaConfig& config) const;
  std::string weights_name(const Branch& branch) const;
  model::LlamaConfig llama_config() const;
  bool base_is_random() const;
  double timeout_s() const;
  int threads() const;

  train::World& world_;
  const Recipe& recipe_;
  LoopConfig config_;
  fs::path run_;
  Ranks ranks_;
  RunInputs inputs_;
  RunTokenizer tokenizer_;
  std::vector<Branch> branches_;
  std::string start_name_, scorer_name_, judge_name_;
  std::map<std::string, Json> last_heldout_;  // by variant; "" = the base model
};

}  // namespace retrace::loop
