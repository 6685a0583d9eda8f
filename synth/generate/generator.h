// A Generator fills prose slots. It sees only what the context shows at that step, and the outline (symbol
// names and signatures) of the file to come where the request says `oracle`. Requirements and plan are the
// main agent's own knowledge of the repository: the generator makes them from all of it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "synth/record/trajectory.h"
#include "synth/structure.h"

namespace retrace::synth {

struct SlotRequest {
  const Trajectory* trajectory = nullptr;
  const Snapshot* snapshot = nullptr;
  const Structure* structure = nullptr;
  const Step* step = nullptr;   // the step whose slot is to be filled
  int file = -1;                // the file concerned, -1 for the whole repository
  bool before_reading = false;  // think before (true) or after (false) the dependencies were read
  std::string incumbent;        // the text that a candidate should improve on; "" for the first
  int candidate = 0;            // number of the candidate: different numbers give different texts
  bool oracle = false;          // the outline of the file to come may be used
  uint64_t seed = 0;
};

struct Draft {
  std::string text, author;  // text is empty where there is no answer that fits a slot
};

class Generator {
 public:
  virtual ~Generator() = default;
  virtual std::string name() const = 0;  // "template/1"
  virtual std::string fill(const SlotRequest& request) = 0;
  // Requests that do not depend on one another's texts. Default: fill() for each.
  virtual std::vector<Draft> fill_all(const std::vector<SlotRequest>& requests);
  // Called whenever fill_all() has settled one more request; may be empty.
  std::function<void()> settled;
};

// Without an LLM: sentences from structure, names, signatures, docstrings and comments. Deterministic in the
// request. Without incumbent, candidates 0..31 of a thought differ. With one, a candidate is the incumbent
// with facts added, dropped or put in other words; when nothing is left to change it may repeat an earlier
// text.
std::unique_ptr<Generator> make_template_generator();

}  // namespace retrace::synth
