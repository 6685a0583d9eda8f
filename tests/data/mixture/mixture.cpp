#include "data/mixture/mixture.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>

#include "core/files/files.h"
#include "core/json.h"
#include "data/mixture/schedule.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

// A data set of `size` samples whose first id is their number, in shards of a few samples each.
void write_numbered(const fs::path& folder, int64_t size, const std::string& domain) {
  MdsWriter writer(folder, {1200, false});
  for (int64_t i = 0; i < size; ++i)
    writer.add({{static_cast<int32_t>(i), 1, 2, 3}, {{0, 4}}, {0, 1, 1, 1}, domain});
  writer.finish();
}

std::vector<MixtureDomain> three_domains(const TempFolder& folder) {
  write_numbered(folder / "a", 40, "a");
  write_numbered(folder / "b", 7, "b");
  write_numbered(folder / "c", 101, "");
  return {{"a", folder / "a", 0.5}, {"b", folder / "b", 0.2}, {"c", folder / "c", 0.3}};
}

std::vector<SampleRef> first_places(const Mixture& mixture, int64_t places, int64_t batch) {
  std::vector<SampleRef> refs;
  for (int64_t step = 0; step * batch < places; ++step)
    for (const SampleRef& ref : mixture.batch(step, batch)) refs.push_back(ref);
  refs.resize(static_cast<size_t>(places));
  return refs;
}

}  // namespace

TEST_CASE("each domain's count is within one sample of its share at every prefix", "[unit]") {
  Random random(31, 9);
  std::vector<std::vector<double>> mixtures = {{1},
                                               {0.3, 0.3, 0.1, 0.1, 0.04, 0.04, 0.03, 0.03, 0.03, 0.03},
                                               {1.0 / 3, 2.0 / 3},
                                               {1, 0, 1e-3},
                                               {1e-9, 1},
                                               {std::sqrt(2.0), std::exp(1.0), std::acos(-1.0)},
                                               std::vector<double>(50, 1.0),
                                               {1234567, 7654321, 1}};
  for (int i = 0; i < 20; ++i) {
    std::vector<double> weights(1 + random.below(12));
    for (double& weight : weights)
      weight = random.uniform() < 0.2 ? random.uniform() * 0.01 : random.uniform();
    mixtures.push_back(weights);
  }
  for (const std::vector<double>& weights : mixtures) {
    const ShareSchedule schedule(weights);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<int64_t> count(weights.size(), 0);
    for (int64_t n = 0; n < 20000; ++n) {
      const auto [domain, ordinal] = schedule.at(n);
      const auto d = static_cast<size_t>(domain);
      REQUIRE(weights[d] > 0);
      REQUIRE(ordinal == count[d]);
      ++count[d];
      double worst = 0;
      for (size_t i = 0; i < weights.size(); ++i)
        worst = std::max(
            worst, std::abs(static_cast<double>(count[i]) - static_cast<double>(n + 1) * weights[i] / sum));
      if (!(worst < 1)) FAIL("off by " << worst << " at " << n);
    }
  }
}

TEST_CASE("shares are kept exactly where weights are plain fractions", "[unit]") {
  REQUIRE(whole_quotas({0.3, 0.7}) == std::vector<int64_t>{3, 7});
  REQUIRE(whole_quotas({2, 2, 4}) == std::vector<int64_t>{1, 1, 2});
  REQUIRE(whole_quotas({0.25, 0, 0.75}) == std::vector<int64_t>{1, 0, 3});
  const auto rounded = whole_quotas({1.0 / 3, 2.0 / 3, 1e-12});
  REQUIRE(std::accumulate(rounded.begin(), rounded.end(), int64_t{0}) == 1 << 20);
  REQUIRE(rounded[2] == 1);
  for (const std::vector<double>& bad : {std::vector<double>{}, {0, 0}, {1, -1}, {std::nan("")}, {INFINITY}})
    REQUIRE(error_of([&] { whole_quotas(bad); }).code() == Code::recipe);
}

TEST_CASE("a batch is a function of seed and step, however it is reached", "[unit]") {
  const TempFolder folder;
  const auto domains = three_domains(folder);
  const Mixture a(domains, 5), b(domains, 5), other(domains, 6);
  std::vector<std::vector<SampleRef>> forward;
  for (int64_t step = 0; step < 60; ++step) forward.push_back(a.batch(step, 6));
  for (int64_t step = 59; step >= 0; --step) REQUIRE(b.batch(step, 6) == forward[static_cast<size_t>(step)]);
  REQUIRE(b.batch(1000000, 6) == a.batch(1000000, 6));
  REQUIRE(first_places(a, 120, 4) == first_places(a, 120, 10));
  REQUIRE(!(first_places(a, 60, 6) == first_places(other, 60, 6)));
  REQUIRE(a.manifest_hash() == other.manifest_hash());
}

TEST_CASE("an epoch holds each sample once, in an order of its own, by blocks of shards", "[unit]") {
  const TempFolder folder;
  const auto domains = three_domains(folder);
  const Mixture mixture(domains, 5);
  const MdsReader reader(folder / "c");
  REQUIRE(reader.num_shards() > 6);
  std::vector<std::vector<int64_t>> epochs(3);
  for (const SampleRef& ref : first_places(mixture, 1200, 8))
    if (ref.domain == 2 && ref.epoch < 3) epochs[static_cast<size_t>(ref.epoch)].push_back(ref.index);
  for (const auto& epoch : epochs) {
    REQUIRE(std::set<int64_t>(epoch.begin(), epoch.end()).size() == 101);
    REQUIRE(epoch.size() == 101);
    REQUIRE(!std::is_sorted(epoch.begin(), epoch.end()));
    // A shard is opened for one block only: at most two at a time, none twice.
    std::vector<int> order;
    for (int64_t index : epoch) {
      int shard = 0;
      while (index >= reader.shard_range(shard).second) ++shard;
      auto seen = std::find(order.begin(), order.end(), shard);
      if (seen == order.end()) order.push_back(shard);
      REQUIRE(std::find(order.begin(), order.end(), shard) >= order.end() - 2);
    }
  }
  REQUIRE(epochs[0] != epochs[1]);
  REQUIRE(epochs[1] != epochs[2]);
}

TEST_CASE("the mixture reads what it names", "[unit]") {
  const TempFolder folder;
  auto domains = three_domains(folder);
  domains.push_back({"unused", folder / "absent", 0});
  const Mixture mixture(domains, 1);
  for (const SampleRef& ref : mixture.batch(3, 20)) {
    const Sample sample = mixture.read(ref);
    REQUIRE(sample.input_ids[0] == ref.index);
    REQUIRE(sample.domain == domains[static_cast<size_t>(ref.domain)].name);
  }
  REQUIRE(mixture.domain_size(1) == 7);
  REQUIRE(mixture.domain_size(3) == 0);
}

TEST_CASE("the manifest hash changes with names, weights and data; an empty domain is refused", "[unit]") {
  const TempFolder folder;
  const auto domains = three_domains(folder);
  const std::string hash = Mixture(domains, 1).manifest_hash();
  REQUIRE(Mixture(domains, 2).manifest_hash() == hash);
  auto changed = domains;
  changed[0].weight = 0.6;
  REQUIRE(Mixture(changed, 1).manifest_hash() != hash);
  changed = domains;
  changed[0].name += "z";
  REQUIRE(Mixture(changed, 1).manifest_hash() != hash);
  write_numbered(folder / "b", 8, "b");
  REQUIRE(Mixture(domains, 1).manifest_hash() != hash);
  MdsWriter(folder / "b", {}).finish();
  REQUIRE(error_of([&] { Mixture(domains, 1); }).code() == Code::input);
}

TEST_CASE("a mixture of 100000 shards opens in two seconds, from its indices alone", "[slow]") {
  const TempFolder folder;
  std::vector<MixtureDomain> domains;
  for (int d = 0; d < 10; ++d) {
    Json shards = Json::array();
    for (int i = 0; i < 10000; ++i) {
      const auto file = [&](const char* end, int64_t bytes) {
        return Json{{"basename", fmt::format("shard.{:05}.mds{}", i, end)},
                    {"bytes", bytes},
                    {"hashes", {{"sha1", fmt::format("{:040x}", i)}, {"xxh64", fmt::format("{:016x}", i)}}}};
      };
      shards.push_back({{"column_encodings", {"str", "ndarray:uint32", "int32", "ndarray:uint32"}},
                        {"column_names", {"domain", "indices", "length", "input_ids"}},
                        {"column_sizes", {nullptr, nullptr, 4, nullptr}},
                        {"compression", "zstd"},
                        {"format", "mds"},
                        {"hashes", {"sha1", "xxh64"}},
                        {"raw_data", file("", 67100000 + i)},
                        {"samples", 255},
                        {"size_limit", 67108864},
                        {"version", 2},
                        {"zip_data", file(".zstd", 20100000 + i)}});
    }
    const std::string name = fmt::format("d{}", d);
    fs::create_directories(folder / name);
    write_file(folder / name / "index.json", to_text({{"shards", shards}, {"version", 2}}));
    domains.push_back({name, folder / name, 1.0 / (d + 1)});
  }
  const auto start = std::chrono::steady_clock::now();
  const Mixture mixture(domains, 1);
  const auto far = mixture.batch(1234567, 64);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  INFO(took << " s");
  REQUIRE(far.size() == 64);
  REQUIRE(mixture.domain_size(0) == 2550000);
  REQUIRE(took < 2);
}

}  // namespace retrace::data
