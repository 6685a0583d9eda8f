// The presets' decisions over scored candidates: pure functions of texts, gates and scores, so that both can
// be asked about the same candidates.
#pragma once

#include <string>
#include <vector>

#include "synth/config.h"
#include "synth/search/gates.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

// initial, accepted, superseded (better, but another of its batch was best), rejected, duplicate, no_answer,
// too_long, and guarded's leak, margin, charge.
struct Decision {
  std::string verdict;
  double gain = 0, needed = 0;  // nats over the incumbent of that moment, and what the rule asked for
};

struct Candidate {
  int n = 0, parent = -1, iteration = 0;
  std::string text, mode, author;
  Gates gates;
  ScoreResult score;
  Decision own, other;  // of the preset that chooses, and of the other one
};

class Rule {
 public:
  Rule(const SearchConfig& config, bool guarded) : config_(config), guarded_(guarded) {}
  const char* name() const { return guarded_ ? "guarded" : "paper"; }
  bool guarded() const { return guarded_; }
  void set_margin(double nats_a_token) { margin_ = nats_a_token; }  // twice the engine's noise

  bool leaks(const Gates& gates) const;
  double noise(const ScoreResult& score) const;  // nats; 0 in the paper's preset
  // The best of a batch (numbers of scored candidates) replaces the incumbent iff it is strictly better by
  // what the preset asks for; ties keep the incumbent. Sets `decision` of each but the leaks, and returns who
  // holds now.
  size_t decide(std::vector<Candidate>& all, const std::vector<size_t>& batch, size_t incumbent,
                Decision Candidate::*decision) const;
  // Whether a thought stays although it could be left out.
  bool keeps(const Candidate& chosen, const ScoreResult& none) const;

 private:
  double charge(const Candidate& by, size_t bytes) const;  // for being longer than `bytes`
  const SearchConfig& config_;
  bool guarded_;
  double margin_ = 1e-6;  // nats a token: below any engine's rounding
};

}  // namespace retrace::synth
