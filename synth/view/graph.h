// The dependency graph as inline SVG, drawn in the order of writing: what a file needs stands to its left.
#pragma once

#include <string>
#include <vector>

#include "synth/record/trajectory.h"

namespace retrace::synth {

struct GraphNode {
  std::string label, folder, title, href;
  size_t place = 0;  // in the writing order; of a folder the mean of its files
  size_t n_files = 1;
  int layer = 0;
};

struct GraphEdge {
  int from = 0, to = 0;  // `from` needs `to`
  bool hard = true, broken = false;
  int64_t n_imports = 1;  // file to file edges in it
};

struct DependencyGraph {
  std::vector<GraphNode> nodes;  // files, or folders where there are too many files to draw
  std::vector<GraphEdge> edges;
  bool by_folder = false;
  size_t n_alone = 0;  // files that neither need nor are needed: not drawn
};

// Files with a dependency; beyond `most_files` of them their folders, merged upwards until at most that many
// are left. A node's layer is one more than the highest of what it needs, broken edges aside.
DependencyGraph dependency_graph(const Trajectory& t, size_t most_files = 200);

// An <svg>; nodes link to "#file-N". Edges lie in classes e0, e1, ... of both their ends, so that the style
// sheet returned in `css` can light up those of the node under the pointer or with the focus.
std::string graph_svg(const DependencyGraph& graph, std::string* css);

}  // namespace retrace::synth
