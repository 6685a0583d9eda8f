#include "synth/stage/stage_key.h"

#include <algorithm>

namespace retrace::synth {

std::string section_text(const Recipe& recipe, const std::string& section,
                         const std::vector<std::string>& without) {
  std::string out;
  for (const Section& s : recipe.schema().sections()) {
    if (s.name != section) continue;
    for (const Key& key : s.keys)
      if (std::find(without.begin(), without.end(), key.name) == without.end())
        out += key.full() + " = " + value_text(recipe.value(key.full())) + "\n";
  }
  return out;
}

}  // namespace retrace::synth
