// The places that search looks at: each thought with the code that follows it in the same sub-agent, and what
// a scorer is shown of them.
#pragma once

#include <string>
#include <vector>

#include "synth/record/render.h"
#include "synth/record/trajectory.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

struct ThoughtPlace {
  int slot = 0;
  int64_t step = 0, write = 0;  // the think step, and the first write after it
  Body target;                  // the byte span that is scored: the front of that write
};

// Every filled thought that a non-empty write of its agent follows, in document order. The target is cut to
// `target_bytes`, at a line if one ends in its second half. `also_unwritten`: thoughts that are not filled
// yet too.
std::vector<ThoughtPlace> thought_places(const Trajectory& t, uint64_t target_bytes,
                                         bool also_unwritten = false);

// Walks the places in order; each step is rendered once, under the slots chosen by then. A slot may change
// only before its step has been passed.
class ContextWalk {
 public:
  ContextWalk(const Trajectory& t, const std::string& style);
  // Goes on to `place`, which must not lie before the last one.
  void go_to(const ThoughtPlace& place);
  // For the place gone to; valid until the next go_to.
  ScoreRequest request() const;
  // Of prefix, close and target: a score's identity. without_thought: as if the step were left out.
  std::string hash(bool without_thought = false) const;
  // What stands before the thought, as text: the lead, and the newest of the rest.
  std::string visible_text(size_t newest_bytes) const;
  std::string close_text() const;
  const std::string& target() const { return target_; }

 private:
  const Trajectory& t_;
  Renderer renderer_;
  Segments done_, close_;          // done_ ends with what opens the thought
  size_t lead_ = 0, opening_ = 0;  // segments of the lead; of done_'s end that open the thought
  size_t closing_ = 0;             // segments at close_'s front that close the thought
  int64_t next_ = 0;
  std::string target_;
};

}  // namespace retrace::synth
