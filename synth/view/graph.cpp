#include "synth/view/graph.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "core/error.h"
#include "synth/paths.h"
#include "synth/record/plan_table.h"

namespace retrace::synth {

namespace {

std::string folder_at_depth(std::string_view path, size_t depth) {
  std::string_view folder = path_folder(path);
  size_t at = 0;
  for (size_t i = 0; i < depth && at != folder.npos; ++i) at = folder.find('/', at == 0 ? 0 : at + 1);
  return std::string(at == folder.npos ? folder : folder.substr(0, at));
}

size_t depth_of(std::string_view path) {
  return static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
}

// Files that take part in a dependency, ascending.
std::vector<int> connected_files(const Trajectory& t) {
  std::set<int> files;
  for (const Dependency& d : t.dependencies) files.insert({d.from, d.to});
  return {files.begin(), files.end()};
}

// The deepest level at which the folders are few enough; level 1 whatever their number.
size_t depth_for(const Trajectory& t, const std::vector<int>& files, size_t most) {
  size_t depth = 1;
  for (int file : files) depth = std::max(depth, depth_of(t.tree[static_cast<size_t>(file)].path));
  for (; depth > 1; --depth) {
    std::set<std::string> folders;
    for (int file : files) folders.insert(folder_at_depth(t.tree[static_cast<size_t>(file)].path, depth));
    if (folders.size() <= most) break;
  }
  return depth;
}

void set_layers(DependencyGraph& graph) {
  std::vector<size_t> by_place(graph.nodes.size());
  std::iota(by_place.begin(), by_place.end(), size_t{0});
  std::stable_sort(by_place.begin(), by_place.end(),
                   [&](size_t a, size_t b) { return graph.nodes[a].place < graph.nodes[b].place; });
  std::vector<size_t> rank(by_place.size());
  for (size_t i = 0; i < by_place.size(); ++i) rank[by_place[i]] = i;
  std::vector<std::vector<int>> needs(graph.nodes.size());
  for (const GraphEdge& e : graph.edges)
    if (!e.broken && rank[static_cast<size_t>(e.to)] < rank[static_cast<size_t>(e.from)])
      needs[static_cast<size_t>(e.from)].push_back(e.to);
  for (size_t i : by_place)
    for (int need : needs[i])
      graph.nodes[i].layer = std::max(graph.nodes[i].layer, graph.nodes[static_cast<size_t>(need)].layer + 1);
}

}  // namespace

DependencyGraph dependency_graph(const Trajectory& t, size_t most_files) {
  DependencyGraph graph;
  const std::vector<int> files = connected_files(t);
  const std::vector<size_t> place = places_in_order(t);
  graph.n_alone = t.tree.size() - files.size();
  graph.by_folder = files.size() > most_files;
  const size_t depth = graph.by_folder ? depth_for(t, files, most_files) : 0;
  std::map<std::string, int> folder_node;
  std::vector<int> node_of(t.tree.size(), -1);
  std::vector<size_t> sum_of_places;
  for (int file : files) {
    const std::string& path = t.tree[static_cast<size_t>(file)].path;
    int node = static_cast<int>(graph.nodes.size());
    if (graph.by_folder) {
      const std::string folder = folder_at_depth(path, depth);
      node = folder_node.try_emplace(folder, node).first->second;
      if (node == static_cast<int>(graph.nodes.size())) {
        const std::string shown = folder.empty() ? "(top)" : folder + "/";
        graph.nodes.push_back({shown, "", shown, fmt::format("#file-{}", file), 0, 0, 0});
        sum_of_places.push_back(0);
      }
      ++graph.nodes[static_cast<size_t>(node)].n_files;
    } else {
      graph.nodes.push_back({std::string(path_name(path)), std::string(path_folder(path)), path,
                             fmt::format("#file-{}", file), 0, 1, 0});
      sum_of_places.push_back(0);
    }
    node_of[static_cast<size_t>(file)] = node;
    sum_of_places[static_cast<size_t>(node)] += place[static_cast<size_t>(file)];
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    graph.nodes[i].place = sum_of_places[i] / graph.nodes[i].n_files;
  std::map<std::pair<int, int>, size_t> edge_of;
  for (const Dependency& d : t.dependencies) {
    const int from = node_of[static_cast<size_t>(d.from)], to = node_of[static_cast<size_t>(d.to)];
    if (from == to) continue;
    const auto [found, is_new] = edge_of.try_emplace({from, to}, graph.edges.size());
    if (is_new) {
      graph.edges.push_back({from, to, d.hard, d.broken, 1});
      continue;
    }
    GraphEdge& edge = graph.edges[found->second];
    edge.hard = edge.hard || d.hard;
    edge.broken = edge.broken || d.broken;
    ++edge.n_imports;
  }
  set_layers(graph);
  return graph;
}

}  // namespace retrace::synth
