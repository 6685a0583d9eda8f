// The writing order: its invariants on random graphs, cycles, roles, and size.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <numeric>

#include "core/random.h"
#include "synth/structure/analyse.h"
#include "synth/structure/order.h"
#include "tests/synth/input/input_testing.h"
#include "tests/synth/structure/imports_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

Edge edge(int from, int to, bool hard = true) {
  Edge made;
  made.from = from;
  made.to = to;
  made.hard = hard;
  return made;
}

std::vector<OrderNode> named_nodes(int n) {
  std::vector<OrderNode> nodes;
  for (int i = 0; i < n; ++i) nodes.push_back({Role::source, "f" + std::to_string(100000 + i) + ".py"});
  return nodes;
}

// Checks every promise; returns the number of broken edges.
int check(const std::vector<OrderNode>& nodes, const std::vector<Edge>& edges,
          const std::vector<int>& order) {
  std::vector<int> position(nodes.size(), -1);
  REQUIRE(order.size() == nodes.size());
  for (size_t i = 0; i < order.size(); ++i) {
    REQUIRE(position.at(static_cast<size_t>(order[i])) == -1);
    position[static_cast<size_t>(order[i])] = static_cast<int>(i);
  }
  std::vector<std::vector<int>> targets(nodes.size());
  for (const auto& e : edges) targets[static_cast<size_t>(e.from)].push_back(e.to);
  int n_components = 0, n_broken = 0;
  const auto component = strong_components(targets, &n_components);
  for (const auto& e : edges) {
    const bool forward = position[static_cast<size_t>(e.to)] > position[static_cast<size_t>(e.from)];
    REQUIRE(forward == e.broken);
    if (!e.broken) continue;
    ++n_broken;  // only edges of a cycle may break
    REQUIRE(component[static_cast<size_t>(e.from)] == component[static_cast<size_t>(e.to)]);
  }
  return n_broken;
}

std::vector<Edge> random_edges(Random& random, int n, size_t count, bool acyclic) {
  std::vector<Edge> edges;
  std::vector<std::pair<int, int>> seen;
  while (seen.size() < count) {
    int from = static_cast<int>(random.below(static_cast<uint64_t>(n)));
    int to = static_cast<int>(random.below(static_cast<uint64_t>(n)));
    if (acyclic && from < to) std::swap(from, to);
    seen.emplace_back(from, to);
    if (from != to) edges.push_back(edge(from, to, random.below(3) > 0));
  }
  std::sort(edges.begin(), edges.end(),
            [](const Edge& a, const Edge& b) { return std::pair(a.from, a.to) < std::pair(b.from, b.to); });
  edges.erase(std::unique(edges.begin(), edges.end(),
                          [](const Edge& a, const Edge& b) { return a.from == b.from && a.to == b.to; }),
              edges.end());
  return edges;
}

}  // namespace

TEST_CASE("random graphs: a permutation, no unbroken edge forward, no needless break", "[unit]") {
  Random random(5, 1);
  for (int round = 0; round < 300; ++round) {
    const int n = 1 + static_cast<int>(random.below(40));
    const auto nodes = named_nodes(n);
    const bool acyclic = round % 3 == 0;
    auto edges = random_edges(random, n, random.below(static_cast<uint64_t>(3 * n)), acyclic);
    const auto order = writing_order(nodes, &edges);
    const int n_broken = check(nodes, edges, order);
    if (acyclic) REQUIRE(n_broken == 0);
    // If the hard edges alone have no cycle, none of them breaks.
    auto hard_only = edges;
    hard_only.erase(std::remove_if(hard_only.begin(), hard_only.end(), [](const Edge& e) { return !e.hard; }),
                    hard_only.end());
    writing_order(nodes, &hard_only);
    const bool hard_cycle =
        std::any_of(hard_only.begin(), hard_only.end(), [](const Edge& e) { return e.broken; });
    if (!hard_cycle)
      REQUIRE(std::none_of(edges.begin(), edges.end(), [](const Edge& e) { return e.hard && e.broken; }));
  }
}

TEST_CASE("the order does not depend on how nodes are numbered", "[unit]") {
  Random random(6, 1);
  for (int round = 0; round < 60; ++round) {
    const int n = 2 + static_cast<int>(random.below(25));
    const auto nodes = named_nodes(n);
    auto edges = random_edges(random, n, random.below(static_cast<uint64_t>(4 * n)), false);
    const auto order = writing_order(nodes, &edges);
    const auto shuffle = permutation(static_cast<uint32_t>(n), 9, static_cast<uint64_t>(round));
    std::vector<OrderNode> moved(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) moved[shuffle[i]] = nodes[i];
    auto moved_edges = edges;
    for (auto& e : moved_edges) {
      e.from = static_cast<int>(shuffle[static_cast<size_t>(e.from)]);
      e.to = static_cast<int>(shuffle[static_cast<size_t>(e.to)]);
    }
    const auto moved_order = writing_order(moved, &moved_edges);
    for (size_t i = 0; i < order.size(); ++i)
      REQUIRE(moved[static_cast<size_t>(moved_order[i])].path == nodes[static_cast<size_t>(order[i])].path);
    for (size_t i = 0; i < edges.size(); ++i) REQUIRE(edges[i].broken == moved_edges[i].broken);
  }
}

TEST_CASE("cycles: soft edges break first, then the file with the fewest dependencies goes first", "[unit]") {
  auto nodes = named_nodes(3);
  std::vector<Edge> edges{edge(0, 1), edge(1, 2, false), edge(2, 0)};
  REQUIRE(writing_order(nodes, &edges) == std::vector<int>{1, 0, 2});
  REQUIRE((!edges[0].broken && edges[1].broken && !edges[2].broken));
  edges = {edge(0, 1), edge(0, 2), edge(1, 0), edge(1, 2), edge(2, 0)};
  REQUIRE(writing_order(nodes, &edges)[0] == 2);
  nodes = named_nodes(2);
  edges = {edge(0, 1), edge(1, 0)};
  REQUIRE(writing_order(nodes, &edges) == std::vector<int>{0, 1});  // a tie goes by path
  REQUIRE(edges[0].broken);
  REQUIRE_FALSE(edges[1].broken);
}

TEST_CASE("manifests first, tests after what they test, documentation last", "[unit]") {
  const Files files = {
      {"README.md", "# x\n"},       {"docs/a.md", "x\n"},   {"pkg/__init__.py", "from . import core\n"},
      {"pkg/core.py", "x = 1\n"},   {"pyproject.toml", ""}, {"tests/test_core.py", "import pkg.core\n"},
      {"a_test.py", "import pkg\n"}};
  const Snapshot snapshot = snapshot_of(files);
  const Structure structure = analyse(snapshot);
  std::vector<std::string> order;
  for (int file : structure.order) order.push_back(snapshot.files[static_cast<size_t>(file)].path);
  REQUIRE(order == std::vector<std::string>{"pyproject.toml", "pkg/core.py", "pkg/__init__.py", "a_test.py",
                                            "tests/test_core.py", "README.md", "docs/a.md"});
}

TEST_CASE("twenty thousand files: a chain, a ring and a tangle", "[unit]") {
  constexpr int kFiles = 20000;
  const auto nodes = named_nodes(kFiles);
  std::vector<Edge> chain;
  for (int i = 0; i + 1 < kFiles; ++i) chain.push_back(edge(i, i + 1));
  auto order = writing_order(nodes, &chain);
  REQUIRE(check(nodes, chain, order) == 0);
  REQUIRE(order.front() == kFiles - 1);
  auto ring = chain;
  ring.push_back(edge(kFiles - 1, 0));
  order = writing_order(nodes, &ring);
  REQUIRE(check(nodes, ring, order) == 1);
  Random random(7, 1);
  auto tangle = random_edges(random, kFiles, 30000, false);
  order = writing_order(nodes, &tangle);
  check(nodes, tangle, order);
}

TEST_CASE("analyse gives the same bytes again", "[unit]") {
  const Files files = {{"a.py", "import b\n"}, {"b.py", "import c\nimport a\n"}, {"c.py", "import a\n"}};
  const Structure first = structure_of(files), second = structure_of(files);
  REQUIRE(first.order == second.order);
  REQUIRE(first.edges.size() == 4);
  for (size_t i = 0; i < first.edges.size(); ++i) REQUIRE(first.edges[i].broken == second.edges[i].broken);
  REQUIRE(std::is_sorted(first.edges.begin(), first.edges.end(), [](const Edge& a, const Edge& b) {
    return std::pair(a.from, a.to) < std::pair(b.from, b.to);
  }));
}
