#include "synth/structure/order.h"

#include <algorithm>
#include <queue>
#include <set>
#include <tuple>

namespace retrace::synth {

namespace {

using Graph = std::vector<std::vector<int>>;  // node -> what it depends on

size_t at(int i) {
  return static_cast<size_t>(i);
}

class Orderer {
 public:
  Orderer(const std::vector<OrderNode>& nodes, const std::vector<Edge>& edges)
      : nodes_(nodes),
        hard_(nodes.size()),
        all_(nodes.size()),
        soft_users_(nodes.size()),
        rank_(nodes.size()),
        soft_left_(nodes.size(), 0),
        local_(nodes.size(), -1) {
    std::vector<int> by_name(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) by_name[i] = static_cast<int>(i);
    std::sort(by_name.begin(), by_name.end(), [&](int a, int b) {
      return std::tie(nodes[at(a)].role, nodes[at(a)].path) < std::tie(nodes[at(b)].role, nodes[at(b)].path);
    });
    for (size_t i = 0; i < by_name.size(); ++i) rank_[at(by_name[i])] = static_cast<int>(i);
    for (const Edge& edge : edges) {
      if (edge.from == edge.to) continue;
      all_[at(edge.from)].push_back(edge.to);
      if (edge.hard) {
        hard_[at(edge.from)].push_back(edge.to);
      } else {
        soft_users_[at(edge.to)].push_back(edge.from);
        ++soft_left_[at(edge.from)];
      }
    }
  }

  std::vector<int> run() {
    std::vector<int> everything(nodes_.size());
    for (size_t i = 0; i < everything.size(); ++i) everything[i] = static_cast<int>(i);
    for (const auto& component : condensed_order(everything, all_, false)) {
      if (component.size() == 1)
        write(component[0]);
      else
        order_cycle(component);
    }
    return order_;
  }

 private:
  void write(int node) {
    order_.push_back(node);
    for (int user : soft_users_[at(node)]) --soft_left_[at(user)];
  }

  // The components of the subgraph on `members`, dependencies first; ready ones by rank of their first
  // member, or, inside a cycle, those with the fewest unwritten soft dependencies first.
  std::vector<std::vector<int>> condensed_order(const std::vector<int>& members, const Graph& graph,
                                                bool soft_first) {
    for (size_t i = 0; i < members.size(); ++i) local_[at(members[i])] = static_cast<int>(i);
    Graph inner(members.size());
    for (size_t i = 0; i < members.size(); ++i)
      for (int target : graph[at(members[i])])
        if (local_[at(target)] >= 0) inner[i].push_back(local_[at(target)]);
    for (int member : members) local_[at(member)] = -1;
    int n = 0;
    const std::vector<int> component_of = strong_components(inner, &n);
    std::vector<std::vector<int>> components(at(n));
    for (size_t i = 0; i < members.size(); ++i) components[at(component_of[i])].push_back(members[i]);
    std::vector<int> waits_for(at(n), 0);
    Graph users(at(n));
    for (size_t i = 0; i < members.size(); ++i)
      for (int target : inner[i])
        if (component_of[i] != component_of[at(target)]) {
          users[at(component_of[at(target)])].push_back(component_of[i]);
          ++waits_for[at(component_of[i])];
        }
    using Key = std::tuple<int, int, int>;  // soft dependencies left, rank, component
    auto key = [&](int c) {
      int rank = rank_[at(components[at(c)][0])], soft = 0;
      for (int member : components[at(c)]) {
        rank = std::min(rank, rank_[at(member)]);
        soft += soft_first ? soft_left_[at(member)] : 0;
      }
      return Key(soft, rank, c);
    };
    std::priority_queue<Key, std::vector<Key>, std::greater<>> ready;
    for (int c = 0; c < n; ++c)
      if (waits_for[at(c)] == 0) ready.push(key(c));
    std::vector<std::vector<int>> result;
    while (!ready.empty()) {
      const int c = std::get<2>(ready.top());
      ready.pop();
      for (int user : users[at(c)])
        if (--waits_for[at(user)] == 0) ready.push(key(user));
      result.push_back(std::move(components[at(c)]));
    }
    return result;
  }

  // Works through a list of groups instead of recursing: a group is either written, or taken apart.
  void order_cycle(const std::vector<int>& members) {
    std::vector<std::vector<int>> stack{members};
    while (!stack.empty()) {
      const std::vector<int> group = std::move(stack.back());
      stack.pop_back();
      auto parts = condensed_order(group, hard_, true);
      if (parts.size() == 1 && parts[0].size() > 1) {
        const int next = fewest_dependencies(parts[0]);
        std::vector<int> rest;
        for (int member : parts[0])
          if (member != next) rest.push_back(member);
        write(next);
        stack.push_back(std::move(rest));
      } else if (parts.size() == 1) {
        write(parts[0][0]);
      } else {
        for (size_t i = parts.size(); i-- > 0;) stack.push_back(std::move(parts[i]));
      }
    }
  }

  int fewest_dependencies(const std::vector<int>& group) {
    for (int member : group) local_[at(member)] = 0;
    auto key = [&](int node) {
      int unwritten = 0;
      for (int target : hard_[at(node)]) unwritten += local_[at(target)] >= 0;
      return std::make_tuple(unwritten, soft_left_[at(node)], rank_[at(node)]);
    };
    int best = group[0];
    auto best_key = key(best);
    for (int member : group)
      if (auto candidate = key(member); candidate < best_key) best = member, best_key = candidate;
    for (int member : group) local_[at(member)] = -1;
    return best;
  }

  const std::vector<OrderNode>& nodes_;
  Graph hard_, all_, soft_users_;
  std::vector<int> rank_, soft_left_, local_, order_;
};

}  // namespace

std::vector<int> strong_components(const Graph& targets, int* n_components) {
  const size_t n = targets.size();
  std::vector<int> index(n, -1), low(n, 0), component(n, -1), stack;
  std::vector<size_t> next(n, 0);
  std::vector<int> path;
  int counter = 0, found = 0;
  for (size_t start = 0; start < n; ++start) {
    if (index[start] >= 0) continue;
    path.push_back(static_cast<int>(start));
    while (!path.empty()) {
      const size_t node = at(path.back());
      if (index[node] < 0) {
        index[node] = low[node] = counter++;
        stack.push_back(static_cast<int>(node));
      }
      bool descended = false;
      while (next[node] < targets[node].size()) {
        const size_t target = at(targets[node][next[node]++]);
        if (index[target] < 0) {
          path.push_back(static_cast<int>(target));
          descended = true;
          break;
        }
        if (component[target] < 0) low[node] = std::min(low[node], index[target]);
      }
      if (descended) continue;
      path.pop_back();
      if (!path.empty()) low[at(path.back())] = std::min(low[at(path.back())], low[node]);
      if (low[node] != index[node]) continue;
      for (size_t member = n; member != node;) {
        member = at(stack.back());
        stack.pop_back();
        component[member] = found;
      }
      ++found;
    }
  }
  *n_components = found;
  return component;
}

std::vector<int> writing_order(const std::vector<OrderNode>& nodes, std::vector<Edge>* edges) {
  std::vector<int> order = Orderer(nodes, *edges).run();
  std::vector<size_t> position(nodes.size());
  for (size_t i = 0; i < order.size(); ++i) position[at(order[i])] = i;
  for (Edge& edge : *edges) edge.broken = position[at(edge.to)] > position[at(edge.from)];
  return order;
}

}  // namespace retrace::synth
