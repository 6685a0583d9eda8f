// The writing order: dependencies first, cycles broken where it costs least, otherwise by role and path.
#pragma once

#include <string>
#include <vector>

#include "synth/input/roles.h"
#include "synth/structure.h"

namespace retrace::synth {

struct OrderNode {
  Role role = Role::source;
  std::string path;
};

// A permutation of the node indices. Sets Edge::broken on exactly the edges that then point forward. Depends
// on nodes' roles and paths and on the edges only, not on how they are numbered. Strongly connected
// components (Tarjan 1972) are condensed; ready ones are taken by (role, path). Inside a component the hard
// edges alone decide first, so that soft edges break before hard ones; where these still form a cycle, the
// file with the fewest unwritten dependencies goes next (ties: soft ones, role, path) and the rest is looked
// at again.
std::vector<int> writing_order(const std::vector<OrderNode>& nodes, std::vector<Edge>* edges);

// Component number of each node; numbers are in reverse topological order of `targets` (a component's targets
// have smaller numbers). No recursion.
std::vector<int> strong_components(const std::vector<std::vector<int>>& targets, int* n_components);

}  // namespace retrace::synth
