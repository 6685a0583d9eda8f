// Sorted by cost and cut into groups of `ranks`, the k-th group's heaviest sequence is the (k * ranks)-th
// heaviest of all. In any assignment the k heaviest micro-steps hold at most k * ranks sequences, so the next
// one's heaviest costs at least as much: the sum of the heaviest is the least possible.
#include "data/mixture/assignment.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace retrace::data {

namespace {

using Sequences = std::vector<int>;

constexpr double kWorthIt = 1e-9;  // share of the heaviest below which an exchange is not made
constexpr int kMaxExchanges = 10'000;

struct Balancer {
  const std::vector<double>& costs;
  size_t ranks;

  double cost(int sequence) const { return costs[static_cast<size_t>(sequence)]; }
  double sum(const Sequences& pack) const {
    double total = 0;
    for (int sequence : pack) total += cost(sequence);
    return total;
  }
  static size_t heaviest(const std::vector<double>& loads) {
    return static_cast<size_t>(std::max_element(loads.begin(), loads.end()) - loads.begin());
  }

  // One micro-step: each rank's pack of `each` of the given sequences (heaviest first), nearly equal in cost.
  std::vector<Sequences> packs(const int* first, size_t each) const {
    std::vector<Sequences> packs(ranks);
    std::vector<double> loads(ranks, 0);
    for (size_t i = 0; i < ranks * each; ++i) {
      size_t best = ranks;
      for (size_t r = 0; r < ranks; ++r)
        if (packs[r].size() < each && (best == ranks || loads[r] < loads[best])) best = r;
      packs[best].push_back(first[i]);
      loads[best] += cost(first[i]);
    }
    if (each > 1)
      for (int turn = 0; turn < kMaxExchanges && exchange_members(packs, loads); ++turn) continue;
    return packs;
  }

  // Swaps a sequence of the heaviest with one of another, where that lowers the heavier of the two most.
  bool exchange_members(std::vector<Sequences>& packs, std::vector<double>& loads) const {
    const size_t top = heaviest(loads);
    double best = loads[top] * (1 - kWorthIt);
    int *from = nullptr, *to = nullptr;
    size_t other = 0;
    for (size_t r = 0; r < ranks; ++r) {
      for (int& mine : packs[top]) {
        for (int& theirs : packs[r]) {
          const double moved = cost(mine) - cost(theirs);
          const double after = std::max(loads[top] - moved, loads[r] + moved);
          if (r == top || after >= best) continue;
          best = after;
          from = &mine;
          to = &theirs;
          other = r;
        }
      }
    }
    if (!from) return false;
    std::swap(*from, *to);
    for (size_t r : {top, other}) loads[r] = sum(packs[r]);
    return true;
  }

  // Swaps the packs of two ranks in one micro-step, where that lowers the heavier rank's total most.
  bool exchange_packs(std::vector<std::vector<Sequences>>& steps, std::vector<double>& totals) const {
    const size_t top = heaviest(totals);
    double best = totals[top] * (1 - kWorthIt), moved = 0;
    size_t at = steps.size(), other = 0;
    for (size_t k = 0; k < steps.size(); ++k) {
      const double mine = sum(steps[k][top]);
      for (size_t r = 0; r < ranks; ++r) {
        const double difference = mine - sum(steps[k][r]);
        const double after = std::max(totals[top] - difference, totals[r] + difference);
        if (r == top || after >= best) continue;
        best = after;
        moved = difference;
        at = k;
        other = r;
      }
    }
    if (at == steps.size()) return false;
    std::swap(steps[at][top], steps[at][other]);
    totals[top] -= moved;
    totals[other] += moved;
    return true;
  }
};

}  // namespace

std::vector<std::vector<int>> assign_to_ranks(const std::vector<double>& costs, int ranks, int micro_batch,
                                              bool meet_once) {
  const auto count = static_cast<int>(costs.size());
  if (ranks < 1 || micro_batch < 1 || count % ranks != 0)
    throw Error(Code::recipe, fmt::format("{} sequences cannot be shared equally by {} ranks", count, ranks),
                "make the batch a multiple of the number of ranks");
  const Balancer balancer{costs, static_cast<size_t>(ranks)};
  Sequences sorted(costs.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](int a, int b) { return balancer.cost(a) > balancer.cost(b); });

  std::vector<std::vector<Sequences>> steps;
  std::vector<double> totals(balancer.ranks, 0);
  for (size_t at = 0; at < sorted.size();) {
    const size_t each = std::min(static_cast<size_t>(micro_batch), (sorted.size() - at) / balancer.ranks);
    std::vector<Sequences> packs = balancer.packs(sorted.data() + at, each);
    at += each * balancer.ranks;
    // The heaviest pack to the rank with the least so far.
    std::vector<size_t> by_total(balancer.ranks);
    std::iota(by_total.begin(), by_total.end(), size_t{0});
    std::stable_sort(by_total.begin(), by_total.end(),
                     [&](size_t a, size_t b) { return totals[a] < totals[b]; });
    std::stable_sort(packs.begin(), packs.end(), [&](const Sequences& a, const Sequences& b) {
      return balancer.sum(a) > balancer.sum(b);
    });
    steps.emplace_back(balancer.ranks);
    for (size_t r = 0; r < balancer.ranks; ++r) {
      totals[by_total[r]] += balancer.sum(packs[r]);
      steps.back()[by_total[r]] = std::move(packs[r]);
    }
  }
  for (int turn = 0; turn < kMaxExchanges && balancer.exchange_packs(steps, totals); ++turn) continue;

  std::vector<Sequences> assigned(balancer.ranks);
  for (const auto& packs : steps)
    for (size_t r = 0; r < balancer.ranks; ++r)
      assigned[r].insert(assigned[r].end(), packs[r].begin(), packs[r].end());
  if (meet_once) {
    for (int turn = 0; turn < kMaxExchanges && balancer.exchange_members(assigned, totals); ++turn) continue;
    for (Sequences& rank : assigned)
      std::stable_sort(rank.begin(), rank.end(),
                       [&](int a, int b) { return balancer.cost(a) > balancer.cost(b); });
  }
  return assigned;
}

StepCost step_cost(const std::vector<double>& costs, const std::vector<std::vector<int>>& assigned,
                   int micro_batch) {
  StepCost cost;
  const auto each = static_cast<size_t>(micro_batch);
  std::vector<double> heaviest;
  for (const Sequences& rank : assigned) {
    double total = 0;
    for (size_t i = 0; i < rank.size(); i += each) {
      double sum = 0;
      for (size_t j = i; j < std::min(rank.size(), i + each); ++j) sum += costs[static_cast<size_t>(rank[j])];
      total += sum;
      if (heaviest.size() <= i / each) heaviest.push_back(0);
      heaviest[i / each] = std::max(heaviest[i / each], sum);
    }
    cost.met_once = std::max(cost.met_once, total);
  }
  for (double most : heaviest) cost.met_each_micro_step += most;
  return cost;
}

}  // namespace retrace::data
