#include "synth/slices.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <unordered_map>

#include "core/error.h"
#include "core/hash.h"
#include "core/random.h"
#include "synth/hygiene/band_index.h"

namespace retrace::synth {

namespace {

class Groups {
 public:
  explicit Groups(size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0); }
  int find(int i) {
    while (parent_[static_cast<size_t>(i)] != i) {
      int& up = parent_[static_cast<size_t>(i)];
      up = parent_[static_cast<size_t>(up)];
      i = up;
    }
    return i;
  }
  void join(int a, int b) {
    a = find(a), b = find(b);
    parent_[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
  }

 private:
  std::vector<int> parent_;
};

struct Cluster {
  std::vector<int> members;
  uint64_t size_bytes = 0;
  std::string key;  // the least tree hash: names the cluster whatever the sequence of repositories
};

std::vector<Cluster> collect(const std::vector<SliceInput>& repositories,
                             const std::vector<int>& cluster_of) {
  std::map<int, Cluster> by_head;
  for (size_t i = 0; i < repositories.size(); ++i) {
    Cluster& cluster = by_head[cluster_of[i]];
    cluster.members.push_back(static_cast<int>(i));
    cluster.size_bytes += repositories[i].size_bytes;
    const std::string& tree = repositories[i].tree_hash;
    if (cluster.key.empty() || tree < cluster.key) cluster.key = tree;
  }
  std::vector<Cluster> clusters;
  for (auto& [head, cluster] : by_head) clusters.push_back(std::move(cluster));
  return clusters;
}

// Takes clusters from the front of `waiting` while that brings the sum nearer to the share; at least one (the
// one nearest to the share) if `spare` allows. Never more than `spare`.
std::vector<int> hold_out(std::vector<Cluster>* waiting, double share_bytes, size_t spare) {
  std::vector<int> taken;
  double sum = 0;
  auto distance = [&](const Cluster& cluster) {
    return std::abs(sum + static_cast<double>(cluster.size_bytes) - share_bytes);
  };
  auto take = [&](size_t i) {
    Cluster& cluster = (*waiting)[i];
    taken.insert(taken.end(), cluster.members.begin(), cluster.members.end());
    sum += static_cast<double>(cluster.size_bytes);
    waiting->erase(waiting->begin() + static_cast<std::ptrdiff_t>(i));
    --spare;
  };
  for (size_t i = 0; i < waiting->size() && spare > 0;) {
    if (distance((*waiting)[i]) < std::abs(sum - share_bytes))
      take(i);
    else
      ++i;
  }
  if (taken.empty() && spare > 0 && !waiting->empty()) {
    size_t nearest = 0;
    for (size_t i = 1; i < waiting->size(); ++i)
      if (distance((*waiting)[i]) < distance((*waiting)[nearest])) nearest = i;
    take(nearest);
  }
  std::sort(taken.begin(), taken.end());
  return taken;
}

}  // namespace

SliceInput slice_input(const Snapshot& snapshot) {
  SliceInput out = {snapshot.tree_hash, 0, pack_signature(minhash_signature(snapshot))};
  for (const auto& file : snapshot.files) out.size_bytes += file.content.size();
  return out;
}

std::vector<int> near_duplicate_clusters(const std::vector<SliceInput>& repositories, double threshold) {
  Groups groups(repositories.size());
  std::unordered_map<std::string, int> first_with_tree;
  for (size_t i = 0; i < repositories.size(); ++i) {
    const auto [found, is_new] = first_with_tree.try_emplace(repositories[i].tree_hash, static_cast<int>(i));
    if (!is_new) groups.join(found->second, static_cast<int>(i));
  }
  BandIndex index(kClusterBands);
  for (size_t i = 0; i < repositories.size(); ++i) {
    const std::string& signature = repositories[i].signature;
    for (const int64_t other : index.sharing(signature))
      if (groups.find(static_cast<int>(other)) != groups.find(static_cast<int>(i)) &&
          packed_jaccard(repositories[static_cast<size_t>(other)].signature, signature) >= threshold)
        groups.join(static_cast<int>(other), static_cast<int>(i));
    index.add(static_cast<int64_t>(i), signature);
  }
  std::vector<int> cluster(repositories.size());
  for (size_t i = 0; i < cluster.size(); ++i) cluster[i] = groups.find(static_cast<int>(i));
  return cluster;
}

Slices cut_slices(const std::vector<SliceInput>& repositories, int rounds, double dev_fraction,
                  double test_fraction, uint64_t seed) {
  if (rounds < 1) fail(Code::recipe, "the number of rounds is {}, but at least 1 is needed", rounds);
  if (!(dev_fraction >= 0) || !(test_fraction >= 0) || !(dev_fraction + test_fraction < 1))
    fail(Code::recipe, "the held-out fractions {} and {} must be at least 0 and sum to less than 1",
         dev_fraction, test_fraction);
  Slices slices;
  slices.cluster = near_duplicate_clusters(repositories);
  std::vector<Cluster> waiting = collect(repositories, slices.cluster);
  const auto needed = static_cast<size_t>(rounds);
  if (waiting.size() < needed)
    throw Error(Code::input,
                fmt::format("{} repositories in {} near-duplicate clusters are too few for {} rounds",
                            repositories.size(), waiting.size(), rounds),
                "give more repositories or fewer rounds (loop.rounds)");
  auto draw = [&](const Cluster& cluster) { return xxh3_64(cluster.key, mix64(seed)); };
  std::sort(waiting.begin(), waiting.end(), [&](const Cluster& a, const Cluster& b) {
    return std::make_tuple(draw(a), a.key) < std::make_tuple(draw(b), b.key);
  });
  double total_bytes = 0;
  for (const auto& cluster : waiting) total_bytes += static_cast<double>(cluster.size_bytes);
  if (dev_fraction > 0) {
    const size_t spare = waiting.size() - needed;
    const size_t for_test = test_fraction > 0 && spare > 1 ? 1 : 0;
    slices.dev = hold_out(&waiting, dev_fraction * total_bytes, spare - for_test);
  }
  if (test_fraction > 0)
    slices.test = hold_out(&waiting, test_fraction * total_bytes, waiting.size() - needed);
  // Largest first, each to the round that has least (ties: the first such round).
  std::stable_sort(waiting.begin(), waiting.end(),
                   [](const Cluster& a, const Cluster& b) { return a.size_bytes > b.size_bytes; });
  slices.rounds.resize(needed);
  std::vector<uint64_t> bytes(needed, 0);
  for (size_t i = 0; i < waiting.size(); ++i) {
    auto least = static_cast<size_t>(std::min_element(bytes.begin(), bytes.end()) - bytes.begin());
    if (i < needed) least = i;  // also clusters without a byte fill every round
    bytes[least] += waiting[i].size_bytes;
    auto& round = slices.rounds[least];
    round.insert(round.end(), waiting[i].members.begin(), waiting[i].members.end());
  }
  for (auto& round : slices.rounds) std::sort(round.begin(), round.end());
  return slices;
}

}  // namespace retrace::synth
