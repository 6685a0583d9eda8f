// Every sharding mode and context parallel, at one to eight ranks, against one process: the same training.
// Sizes are chosen so that ranks divide neither the vocabulary nor a layer's chunks.
#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "core/error.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"
#include "train/checkpoint/state_io.h"
#include "train/ranks/rank_groups.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

using Keys = std::vector<std::string>;

const Keys kOdd = {"train.steps=20",          "model.hidden_size=40", "model.intermediate_size=52",
                   "model.num_layers=3",      "model.num_heads=4",    "model.num_kv_heads=2",
                   "tokenizer.vocab_size=307"};

Keys with(Keys keys, const Keys& more) {
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

void expect_same_training(const Bench& bench, const std::string& run, const std::string& one) {
  const double loss = worst_ratio(bench.losses(run), bench.losses(one));
  const double norm = worst_ratio(bench.metric(run, "grad_norm"), bench.metric(one, "grad_norm"));
  INFO(run << ": loss off by " << loss << ", gradient norm by " << norm);
  REQUIRE(bench.losses(run).size() == 20);
  REQUIRE(loss <= 1e-6);
  REQUIRE(norm <= 1e-5);
}

// The first moment after one step is the clipped gradient times a constant.
std::vector<float> first_moment(const Bench& bench, const std::string& run) {
  const fs::path folder = bench.run(run) / "checkpoints" / "step-1";
  const StateReader reader(folder, read_manifest(folder));
  std::vector<float> values;
  for (int u = 0; u < reader.layout().num_units(); ++u) {
    for (int64_t c = 0; c < reader.layout().num_chunks(u); ++c) {
      const std::string_view bytes = reader.chunk(StateKind::exp_avg, u, c);
      const auto* first = reinterpret_cast<const float*>(bytes.data());
      values.insert(values.end(), first, first + bytes.size() / sizeof(float));
    }
  }
  return values;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  REQUIRE(norm > 0);
  return std::sqrt(difference / norm);
}

std::string refusal(const TrainConfig& train, int world, int local, int64_t heads = 4, int64_t kv_heads = 2) {
  model::LlamaConfig llama = tiny_config();
  llama.num_heads = heads;
  llama.num_kv_heads = kv_heads;
  try {
    group_sizes(train, llama, world, local);
  } catch (const Error& error) {
    REQUIRE(error.status() == 2);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every sharding mode trains as one process does, at 2, 3, 4 and 8 ranks", "[dist]") {
  const Bench bench;
  expect_ok(bench.train_all(1, {{"one", kOdd}, {"one-tied", with(kOdd, {"model.tie_embeddings=true"})}}));
  for (const int ranks : {2, 3, 4, 8}) {
    Bench::Runs runs;
    const auto add = [&](const std::string& mode, const Keys& more) {
      runs.push_back({fmt::format("{}-{}", mode, ranks), with(kOdd, more)});
    };
    for (const char* mode : {"zero3", "zero2", "zero1-accumulate"})
      add(mode, {std::string("train.sharding=") + mode});
    add("zero3-tied", {"model.tie_embeddings=true"});
    for (const int group : {1, 2, 3, 4})
      if (ranks % group == 0)
        add(fmt::format("hsdp{}", group), {"train.sharding=hsdp", fmt::format("train.shard_size={}", group),
                                           "train.check_weights_every=7"});
    expect_ok(bench.train_all(ranks, runs));
    for (const auto& [name, keys] : runs)
      expect_same_training(bench, name, name.find("tied") == std::string::npos ? "one" : "one-tied");
    REQUIRE(bench.root(fmt::format("zero3-{}", ranks)) == bench.root(fmt::format("zero2-{}", ranks)));
    if (ranks <= 4)  // one copy of the state is zero3
      REQUIRE(bench.root(fmt::format("hsdp{}-{}", ranks, ranks)) ==
              bench.root(fmt::format("zero3-{}", ranks)));
  }
}

TEST_CASE("copies save their common state once, each a part of it", "[dist]") {
  const Bench bench;
  expect_ok(bench.train_all(4, {{"run", {"train.steps=1", "train.sharding=hsdp", "train.shard_size=2"}}}));
  const Manifest manifest = read_manifest(bench.run("run") / "checkpoints" / "step-1");
  REQUIRE(manifest.files.size() == 4);
  int64_t bytes = 0;
  for (const StateFile& file : manifest.files) {
    REQUIRE(file.bytes > 0);
    bytes += file.bytes;
  }
  REQUIRE(bytes == 12 * manifest.config.num_parameters());
}

TEST_CASE("training goes on in another mode at another number of ranks", "[dist]") {
  const Bench bench;
  const Keys keys = with(kOdd, {"checkpoint.every=4", "checkpoint.keep=9"});
  expect_ok(bench.train_all(1, {{"straight", keys}}));
  const auto straight = bench.losses("straight");
  struct Leg {
    std::string name;
    int ranks;
    Keys more;
  };
  std::string from;
  int64_t step = 0;
  for (const Leg& leg :
       {Leg{"a", 8, {"train.sharding=hsdp", "train.shard_size=4"}}, Leg{"b", 3, {"train.sharding=zero2"}},
        Leg{"c", 4, {"train.sharding=hsdp", "train.shard_size=1"}},
        Leg{"d", 2, {"train.sharding=zero3", "train.context_parallel=2"}},
        Leg{"e", 1, {"train.sharding=zero1-accumulate"}}}) {
    Keys more = with(keys, leg.more);
    if (!from.empty()) more.push_back("checkpoint.resume=" + from);
    expect_ok(bench.train_all(leg.ranks, {{leg.name, more}}));
    const auto losses = bench.metric(leg.name, "loss", step);
    const double worst = worst_ratio(losses, {straight.begin() + step, straight.end()});
    INFO(leg.name << " from step " << step << ": off by " << worst);
    REQUIRE(worst <= 1e-6);
    step += 4;
    from = (bench.run(leg.name) / "checkpoints" / fmt::format("step-{}", step)).string();
  }
  REQUIRE(step == 20);
}

TEST_CASE("ranks that share sequences train as one process does", "[dist]") {
  const Bench bench;
  // Key-value heads: two for two ranks, two copies of each for four ranks, one each.
  const Keys halves = {"model.num_heads=4", "model.num_kv_heads=2"},
             quarters = {"model.num_heads=4", "model.num_kv_heads=4"};
  Bench::Runs alone;
  for (const auto& [name, heads] : {std::pair{"halves", halves}, {"quarters", quarters}}) {
    alone.push_back({name, with(kOdd, heads)});
    alone.push_back({std::string(name) + "-gradient", with(kOdd, with(heads, {"train.steps=1"}))});
  }
  alone.push_back({"continuous", with(kOdd, {"model.continuous_positions=true", "train.micro_batch=1"})});
  expect_ok(bench.train_all(1, alone));
  for (const int ranks : {2, 4}) {
    Bench::Runs runs;
    const auto add = [&](const std::string& one, const std::string& how, const Keys& more) {
      Keys keys = with(kOdd, more);
      for (const auto& [name, own] : alone)
        if (name == one) keys = with(own, more);
      runs.push_back({fmt::format("{}/{}-{}", one, how, ranks), keys});
    };
    const std::string all = fmt::format("train.context_parallel={}", ranks);
    for (const char* one : {"halves", "quarters", "halves-gradient", "quarters-gradient", "continuous"})
      add(one, "zero3", {all});
    for (const char* recompute : {"keep_attn", "full"})
      add("halves", recompute, {all, std::string("model.recompute=") + recompute});
    add("halves", "zero1", {all, "train.sharding=zero1-accumulate"});
    add("halves", "hsdp", {"train.context_parallel=2", "train.sharding=hsdp", "train.shard_size=1"});
    if (ranks == 4) add("halves", "pairs", {"train.context_parallel=2"});
    expect_ok(bench.train_all(ranks, runs));
    for (const auto& [name, keys] : runs) {
      const std::string one = name.substr(0, name.find('/'));
      if (one.find("gradient") == std::string::npos) {
        expect_same_training(bench, name, one);
      } else {
        const double off = distance(first_moment(bench, name), first_moment(bench, one));
        INFO(name << ": gradient off by " << off);
        REQUIRE(off <= 1e-6);
      }
    }
  }
}

TEST_CASE("inputs that wait in host memory change no bit, tiles of the feed-forward no more than sums' order",
          "[dist]") {
  const Bench bench;
  const Keys tiles = {"model.mlp_tile_tokens=7"}, offload = {"model.offload=block_inputs"};
  for (const auto& [ranks, context] : {std::pair{1, "1"}, {2, "1"}, {2, "2"}}) {
    const Keys keys = with(kOdd, {std::string("train.context_parallel=") + context, "train.micro_batch=2"});
    const std::string name = fmt::format("{}-{}", ranks, context);
    Bench::Runs runs = {{name, keys}, {name + "-tiles", with(keys, tiles)}};
    for (const char* recompute : {"none", "keep_attn", "full"}) {
      const std::string level = std::string("model.recompute=") + recompute;
      runs.push_back({name + "-offload-" + recompute, with(keys, with(offload, {level}))});
      runs.push_back({name + "-both-" + recompute, with(keys, with(tiles, with(offload, {level})))});
    }
    expect_ok(bench.train_all(ranks, runs));
    expect_same_training(bench, name + "-tiles", name);
    for (const char* recompute : {"none", "keep_attn", "full"}) {
      REQUIRE(bench.losses(name + "-offload-" + recompute) == bench.losses(name));
      REQUIRE(bench.root(name + "-offload-" + recompute) == bench.root(name));
      REQUIRE(bench.root(name + "-both-" + recompute) == bench.root(name + "-tiles"));
    }
  }
}

TEST_CASE("ranks that share sequences stay near one process in bf16", "[dist]") {
  const Bench bench;
  const Keys keys = {"train.steps=10", "model.dtype=bfloat16", "model.hidden_size=128", "optim.lr=1e-3"};
  expect_ok(bench.train_all(1, {{"one", keys}}));
  for (const int ranks : {2, 4}) {  // two key-value heads: one each, and two copies of each
    const std::string name = fmt::format("shared-{}", ranks);
    expect_ok(
        bench.train_all(ranks, {{name, with(keys, {fmt::format("train.context_parallel={}", ranks)})}}));
    const double worst = worst_ratio(bench.losses(name), bench.losses("one"));
    INFO(name << ": loss off by " << worst);
    REQUIRE(worst <= 1e-3);
  }
}

TEST_CASE("SIGTERM to a rank whose peers wait in groups leaves the step, and the rest follows later",
          "[fault]") {
  const Bench bench;
  const Keys keys = {"train.steps=60", "train.micro_batch=4", "train.sharding=hsdp", "train.shard_size=2",
                     "train.context_parallel=2"};
  expect_ok(bench.train("undisturbed", 4, keys));
  ProcessResult result;
  for (int attempt = 0; attempt < 3 && result.exit_status != 143; ++attempt)
    result = bench.train("stopped", 4, keys, {{"RETRACE_TEST_TERM_AT_STEP", "10"}});
  INFO(result.output);
  REQUIRE(result.exit_status == 143);
  const auto saved = list_checkpoints(bench.run("stopped") / "checkpoints");
  REQUIRE(saved.size() == 1);
  REQUIRE(saved.front().step < 60);
  expect_ok(bench.train("stopped", 4, keys));
  REQUIRE(bench.losses("stopped") == bench.losses("undisturbed"));
  REQUIRE(bench.root("stopped") == bench.root("undisturbed"));
}

TEST_CASE("group sizes that do not divide are refused with those that would", "[unit]") {
  TrainConfig train;
  REQUIRE(refusal(train, 6, 3).empty());
  REQUIRE(group_sizes(train, tiny_config(), 6, 3).shard == 6);
  train.shard_size = 2;
  REQUIRE(refusal(train, 6, 3).find("hsdp") != std::string::npos);
  train.sharding = "hsdp";
  REQUIRE(group_sizes(train, tiny_config(), 6, 3).shard == 2);
  train.shard_size = 4;
  REQUIRE(refusal(train, 6, 3).find("1, 2, 3, 6") != std::string::npos);
  train.shard_size = 0;
  REQUIRE(group_sizes(train, tiny_config(), 6, 3).shard == 3);
  REQUIRE(refusal(train, 6, 4).find("the ranks of a node") != std::string::npos);
  train.virtual_ranks = 2;
  REQUIRE(refusal(train, 1, 1).find("virtual") != std::string::npos);

  train = {};
  train.context_parallel = 4;
  REQUIRE(refusal(train, 8, 8).empty());                                               // copies of two heads
  REQUIRE(refusal(train, 6, 6).find("1, 2") != std::string::npos);                     // ranks do not divide
  REQUIRE(refusal(train, 12, 12, 12, 6).find("1, 2, 3, 6, 12") != std::string::npos);  // nor heads by copies
  train.context_parallel = 8;
  REQUIRE(refusal(train, 8, 8).find("1, 2, 4") != std::string::npos);  // more ranks than heads
  train.virtual_ranks = 2;
  REQUIRE_FALSE(refusal(train, 1, 1).empty());
}

TEST_CASE("a recipe whose groups cannot be made ends every rank with status 2", "[dist]") {
  const Bench bench;
  const ProcessResult result = bench.train("run", 3, {"train.context_parallel=3"});
  INFO(result.output);
  REQUIRE(result.exit_status == 2);
  REQUIRE(result.output.find("set train.context_parallel to one of 1") != std::string::npos);
}
