#include "synth/generate/generator.h"

namespace retrace::synth {

std::vector<Draft> Generator::fill_all(const std::vector<SlotRequest>& requests) {
  std::vector<Draft> out;
  for (const SlotRequest& r : requests) {
    out.push_back({fill(r), name()});
    if (settled) settled();
  }
  return out;
}

}  // namespace retrace::synth
