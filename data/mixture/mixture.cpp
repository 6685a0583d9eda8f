// Order: place p = step * batch + k of one endless sequence. Its domain comes from the share schedule; the
// domain's n-th sample is sample n mod size of epoch n / size, in that epoch's order: shards in a random
// order, cut into blocks of two, samples in random order inside a block. A reader that keeps two shards open
// then opens each once an epoch. O(1) for each place, but for the shard order of an epoch, which is made once
// when the epoch is first met.
#include "data/mixture/mixture.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <exception>
#include <list>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "core/hash.h"
#include "core/random.h"
#include "data/mixture/schedule.h"

namespace retrace::data {

namespace {

constexpr size_t kShardsInBlock = 2, kOrdersKept = 4;

// Place i of a random order of 0..n-1, without making the order: a four-round Feistel network over the next
// even power of two, walked until it lands inside.
uint64_t shuffled(uint64_t i, uint64_t n, uint64_t seed, uint64_t stream) {
  if (n <= 1) return 0;
  const int half = std::max(1, (static_cast<int>(std::bit_width(n - 1)) + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  do {
    uint64_t left = i >> half, right = i & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mixed = left ^ (random_u64(seed, stream, round << 56 | right) & mask);
      left = right;
      right = mixed;
    }
    i = left << half | right;
  } while (i >= n);
  return i;
}

// The order of one epoch of one domain.
struct EpochOrder {
  std::vector<uint32_t> shards;
  std::vector<int64_t> block_start;  // of each block, and the total
};

}  // namespace

struct Mixture::State {
  std::vector<MixtureDomain> domains;
  uint64_t seed;
  std::vector<std::unique_ptr<MdsReader>> readers;  // null for a domain of weight 0
  std::vector<uint64_t> streams;
  std::unique_ptr<ShareSchedule> schedule;
  std::string manifest_hash;
  mutable std::mutex mutex;
  mutable std::list<std::pair<std::pair<int, int64_t>, std::shared_ptr<const EpochOrder>>> orders;

  // Indices of a large mixture hold 100,000 shards: they are read side by side.
  void open_readers() {
    readers.resize(domains.size());
    std::vector<std::exception_ptr> failures(domains.size());
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t d = next++; d < domains.size(); d = next++) try {
          if (domains[d].weight > 0) readers[d] = std::make_unique<MdsReader>(domains[d].folder);
        } catch (...) {
          failures[d] = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    const size_t threads =
        std::min<size_t>(domains.size(), std::max(1U, std::thread::hardware_concurrency()));
    for (size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
    for (const std::exception_ptr& failure : failures)
      if (failure) std::rethrow_exception(failure);
  }

  std::shared_ptr<const EpochOrder> order(int domain, int64_t epoch) const {
    const std::lock_guard lock(mutex);
    const std::pair key{domain, epoch};
    auto found =
        std::find_if(orders.begin(), orders.end(), [&](const auto& entry) { return entry.first == key; });
    if (found != orders.end()) {
      orders.splice(orders.begin(), orders, found);
      return orders.front().second;
    }
    const MdsReader& reader = *readers[static_cast<size_t>(domain)];
    auto made = std::make_shared<EpochOrder>();
    made->shards = permutation(static_cast<uint32_t>(reader.num_shards()), seed, stream(domain, epoch, 0));
    made->block_start = {0};
    for (size_t s = 0; s < made->shards.size(); s += kShardsInBlock) {
      int64_t size = 0;
      for (size_t i = s; i < std::min(s + kShardsInBlock, made->shards.size()); ++i) {
        const auto [begin, end] = reader.shard_range(static_cast<int>(made->shards[i]));
        size += end - begin;
      }
      made->block_start.push_back(made->block_start.back() + size);
    }
    if (orders.size() >= kOrdersKept * domains.size()) orders.pop_back();
    orders.emplace_front(key, made);
    return made;
  }

  uint64_t stream(int domain, int64_t epoch, uint64_t block) const {
    return mix64(streams[static_cast<size_t>(domain)] ^ mix64(static_cast<uint64_t>(epoch) << 32 ^ block));
  }

  int64_t index_at(int domain, int64_t epoch, int64_t place) const {
    const auto epoch_order = order(domain, epoch);
    const auto& start = epoch_order->block_start;
    const auto block =
        static_cast<size_t>(std::upper_bound(start.begin(), start.end(), place) - start.begin()) - 1;
    const auto size = static_cast<uint64_t>(start[block + 1] - start[block]);
    auto inside = static_cast<int64_t>(
        shuffled(static_cast<uint64_t>(place - start[block]), size, seed, stream(domain, epoch, block + 1)));
    for (size_t s = block * kShardsInBlock;; ++s) {
      const auto [begin, end] =
          readers[static_cast<size_t>(domain)]->shard_range(static_cast<int>(epoch_order->shards[s]));
      if (inside < end - begin) return begin + inside;
      inside -= end - begin;
    }
  }
};

Mixture::Mixture(std::vector<MixtureDomain> domains, uint64_t seed) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.domains = std::move(domains);
  s.seed = seed;
  std::vector<double> weights;
  for (const MixtureDomain& domain : s.domains) weights.push_back(domain.weight);
  s.schedule = std::make_unique<ShareSchedule>(weights);
  s.open_readers();
  std::string manifest = "mixture 1\n";
  for (size_t d = 0; d < s.domains.size(); ++d) {
    const MixtureDomain& domain = s.domains[d];
    const MdsReader* const reader = s.readers[d].get();
    s.streams.push_back(stream_id(fmt::format("mixture {} {}", d, domain.name)));
    if (reader && reader->size() == 0)
      throw Error(Code::input, fmt::format("the data set of domain '{}' holds no sample", domain.name),
                  "give it weight 0 or fill it", domain.folder.string());
    manifest += fmt::format("{} {} {} {}\n", s.schedule->quotas()[d], domain.weight,
                            reader ? reader->fingerprint() : "-", domain.name);
  }
  s.manifest_hash = sha256_hex(manifest);
}

Mixture::~Mixture() = default;

std::vector<SampleRef> Mixture::batch(int64_t step, int64_t batch_size) const {
  ensure(step >= 0 && batch_size > 0 && step < INT64_MAX / batch_size, "a step is a place in the sequence");
  std::vector<SampleRef> refs;
  refs.reserve(static_cast<size_t>(batch_size));
  for (int64_t k = 0; k < batch_size; ++k) {
    const auto [domain, ordinal] = state_->schedule->at(step * batch_size + k);
    const int64_t size = domain_size(domain), epoch = ordinal / size;
    refs.push_back({domain, state_->index_at(domain, epoch, ordinal % size), epoch});
  }
  return refs;
}

Sample Mixture::read(const SampleRef& ref) const {
  ensure(ref.domain >= 0 && static_cast<size_t>(ref.domain) < state_->readers.size(), "the domain exists");
  const auto& reader = state_->readers[static_cast<size_t>(ref.domain)];
  ensure(reader != nullptr, "a domain of weight 0 is not read");
  Sample sample = reader->read(ref.index);
  if (sample.domain.empty()) sample.domain = state_->domains[static_cast<size_t>(ref.domain)].name;
  return sample;
}

const std::vector<MixtureDomain>& Mixture::domains() const {
  return state_->domains;
}

int64_t Mixture::domain_size(int domain) const {
  const auto& reader = state_->readers.at(static_cast<size_t>(domain));
  return reader ? reader->size() : 0;
}

const std::string& Mixture::manifest_hash() const {
  return state_->manifest_hash;
}

}  // namespace retrace::data
