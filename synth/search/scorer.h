// A Scorer gives the code's negative log-likelihood after a thought. All candidates of a step share their
// prefix.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/document.h"
#include "data/tokenizer/tokenizer.h"
#include "model/engine/engine.h"

namespace retrace::synth {

struct ScoreResult {
  double nll = 0, nll_clipped = 0;  // nats over all target tokens; clipped: each token at 2 nats
  int64_t n_tokens = 0, n_bytes = 0;
};

// A scoring with its segments, so that tokens are forced apart exactly where training forces them.
struct ScoreRequest {
  std::span<const data::Segment> prefix;  // everything before the thought's own bytes
  size_t lead = 0;  // so many leading segments (requirements, tree, plan) are kept when the rest is cut
  std::vector<std::string> thoughts;
  std::span<const data::Segment> close;  // everything between the thought and the target
  std::string target;
  std::span<const data::Segment> open;  // what opens the thought, and so belongs to each
  size_t closing = 0;                   // so many leading segments of `close` belong to the thought as well
  bool none = false;                    // also score no thought at all: one result more, the last
};

// What scoring took, in tokens. Own: thoughts with what opens them, and targets; between: what stands
// between; prefixes: each once, however often it was asked about; computed: what went through the network.
struct ScoreWork {
  int64_t candidates = 0, own = 0, between = 0, prefixes = 0, computed = 0;
};

class Scorer {
 public:
  virtual ~Scorer() = default;
  virtual std::string name() const = 0;  // "local:<weights fingerprint, 12 digits>[/dtype]", "ppm/1"
  // NLL of `target` after prefix + thought[k] + close, for every k. The target's ids are the same for every
  // k. A k whose context would exceed the scorer's length gives n_tokens = 0 (rejected by the caller).
  virtual std::vector<ScoreResult> score(const std::string& prefix, const std::vector<std::string>& thoughts,
                                         const std::string& close, const std::string& target) = 0;
  // The same with segments, and with none if that is asked. Default: their bytes as strings.
  virtual std::vector<ScoreResult> score_segments(const ScoreRequest& request);
  // Nats a token by which the same question may be answered differently, where that was measured; else 0.
  virtual double noise_nats() { return 0; }
  // Since the last call; zeros where nothing is computed in this process.
  virtual ScoreWork take_work() { return {}; }
  // Length of a text in the scorer's tokens, and the text's front of that length. Default: bytes.
  virtual int64_t count_tokens(const std::string& text) { return static_cast<int64_t>(text.size()); }
  virtual std::string first_tokens(const std::string& text, int64_t most);
};

// Weights in this process. Each piece is tokenised on its own; the target's first token is scored too. The
// context is max_context_tokens or the model's own length, whichever is less; an eighth is kept free for the
// thought. What does not fit is cut from the prefix: first the tree, then the oldest segments after the lead;
// the lead itself keeps at most half of the room, from its start. Observations between the thought and the
// target keep a third of what the target leaves, the newest. No cut depends on the thoughts. `dtype`:
// what the engine computes in, for the name.
std::unique_ptr<Scorer> make_local_scorer(model::Engine& engine,
                                          std::shared_ptr<const data::Tokenizer> tokenizer,
                                          int64_t max_context_tokens, const std::string& dtype = "float32");
// Byte-level PPM with true log-probabilities: copies well, so it is the leak meter, not a judge of thoughts.
// Its tokens are bytes, and it has no limit of length.
std::unique_ptr<Scorer> make_ppm_scorer(int order = 8);

}  // namespace retrace::synth
