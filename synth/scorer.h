// A Scorer gives the code's negative log-likelihood after a thought. All candidates of a step share their
// prefix.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "model/engine.h"

namespace retrace::synth {

struct ScoreResult {
  double nll = 0, nll_clipped = 0;  // nats over all target tokens; clipped: each token at 2 nats
  int64_t n_tokens = 0, n_bytes = 0;
};

class Scorer {
 public:
  virtual ~Scorer() = default;
  virtual std::string name() const = 0;  // "local:<weights fingerprint, 12 digits>", "ppm/1"
  // NLL of `target` after prefix + thought[k] + close, for every k. The target's ids are the same for every
  // k. A k whose context would exceed the scorer's length gives n_tokens = 0 (rejected by the caller).
  virtual std::vector<ScoreResult> score(const std::string& prefix, const std::vector<std::string>& thoughts,
                                         const std::string& close, const std::string& target) = 0;
};

std::unique_ptr<Scorer> make_local_scorer(model::Engine& engine,
                                          std::shared_ptr<const data::Tokenizer> tokenizer,
                                          int64_t max_context_tokens);
// Byte-level PPM with true log-probabilities: copies well, so it is the leak meter, not a judge of thoughts.
std::unique_ptr<Scorer> make_ppm_scorer(int order = 8);

}  // namespace retrace::synth
