#include "synth/generate/fill_slots.h"

#include "core/error.h"
#include "synth/record/prose.h"

namespace retrace::synth {

SlotRequest slot_request(const Trajectory& t, const Snapshot& snapshot, const Structure& structure, int slot,
                         uint64_t seed) {
  SlotRequest request;
  request.trajectory = &t;
  request.snapshot = &snapshot;
  request.structure = &structure;
  const Step& step = t.steps[static_cast<size_t>(t.slots[static_cast<size_t>(slot)].step)];
  request.step = &step;
  request.file = t.agents[static_cast<size_t>(step.agent)].file;
  if (step.kind == Kind::delegate)
    for (const Agent& a : t.agents)
      if (a.call_step == step.seq) request.file = a.file;
  const auto next = static_cast<size_t>(step.seq) + 1;
  request.before_reading =
      step.kind == Kind::think && next < t.steps.size() && t.steps[next].kind == Kind::read;
  request.seed = seed;
  return request;
}

void fill_slots(Trajectory& t, const Snapshot& snapshot, const Structure& structure, Generator& generator,
                uint64_t seed) {
  const auto turn = [&](const Slot& slot) {
    const Kind kind = t.steps[static_cast<size_t>(slot.step)].kind;
    return kind == Kind::requirements ? 0 : kind == Kind::plan ? 1 : kind == Kind::review ? 3 : 2;
  };
  for (int now = 0; now < 4; ++now) {
    std::vector<SlotRequest> requests;
    std::vector<size_t> slots;
    for (size_t i = 0; i < t.slots.size(); ++i) {
      if (turn(t.slots[i]) != now) continue;
      requests.push_back(slot_request(t, snapshot, structure, static_cast<int>(i), seed));
      slots.push_back(i);
    }
    const std::vector<Draft> drafts = generator.fill_all(requests);
    ensure(drafts.size() == slots.size(), "a generator answers every request");
    for (size_t k = 0; k < slots.size(); ++k) {
      Slot& slot = t.slots[slots[k]];
      slot.initial = slot.chosen = fit_for_slot(drafts[k].text);
      slot.author = drafts[k].author;
      slot.mode = "blinded";
    }
  }
  t.rev = make_rev(t);
}

}  // namespace retrace::synth
