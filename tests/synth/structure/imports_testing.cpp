#include "tests/synth/structure/imports_testing.h"

#include <algorithm>

#include "synth/structure/analyse.h"
#include "tests/synth/input/input_testing.h"

namespace retrace::synth::testing {

std::vector<std::string> edges_of(const Files& files, const std::string& origin) {
  Snapshot snapshot = snapshot_of(files);
  snapshot.origin = origin;
  const Structure structure = analyse(snapshot);
  std::vector<std::string> lines;
  for (const auto& edge : structure.edges)
    lines.push_back(snapshot.files[static_cast<size_t>(edge.from)].path + (edge.hard ? " -> " : " ~> ") +
                    snapshot.files[static_cast<size_t>(edge.to)].path);
  std::sort(lines.begin(), lines.end());
  return lines;
}

Structure structure_of(const Files& files) {
  return analyse(snapshot_of(files));
}

}  // namespace retrace::synth::testing
