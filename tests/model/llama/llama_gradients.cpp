// Gradients of whole tiny models against torch::autograd, recompute levels, packing.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "core/error.h"
#include "model/llama/block_program.h"
#include "tests/model/llama_testing.h"

using namespace retrace;
using namespace retrace::model;
using namespace retrace::model::testing;

namespace {

constexpr double kBound = 1e-5;

void require_gradients(const LlamaConfig& config, const std::vector<int64_t>& lengths, int64_t holes,
                       int64_t chunk) {
  FlatModel model = random_model(config, 11);
  const Batch batch = random_batch(config, lengths, 12, holes);
  const Llama llama(config, {});
  const auto ours = train_pass(llama, model, batch, chunk);
  const OracleResult oracle = oracle_pass(model, batch);
  REQUIRE(std::abs(ours.loss_sum - oracle.loss_sum) < 1e-5 * oracle.loss_sum);
  const auto gradients = model.named(model.gradients);
  REQUIRE(gradients.size() == oracle.gradients.size());
  for (const auto& [name, expected] : oracle.gradients) {
    INFO(name);
    REQUIRE(expected.norm().item<double>() > 0);
    REQUIRE(relative_error(gradients.at(name), expected) < kBound);
  }
}

bool same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!at::equal(a[i], b[i])) return false;
  return true;
}

}  // namespace

TEST_CASE("every gradient agrees with autograd for each GQA ratio", "[unit]") {
  const int64_t heads = GENERATE(1, 3, 4, 6);
  for (int64_t kv : {1, 2, 3, 4, 6}) {
    if (heads % kv) continue;
    INFO(heads << " heads, " << kv << " key-value heads");
    require_gradients(tiny_config(heads, kv), {9, 1, 14}, 5, 1024);
  }
}

TEST_CASE("gradients agree with autograd for tied embeddings", "[unit]") {
  require_gradients(tiny_config(4, 2, true), {7, 12}, 0, 1024);
}

TEST_CASE("gradients agree with autograd under Llama-3.1's RoPE scaling", "[unit]") {
  LlamaConfig config = tiny_config(4, 2);
  config.rope_scaling = "llama3";
  config.rope_original_max_position = 64;  // so that slow, blended and kept frequencies all occur
  config.head_dim = 16;
  require_gradients(config, {40, 33}, 3, 1024);
}

TEST_CASE("gradients agree with autograd where units have no side-by-side weights", "[unit]") {
  LlamaConfig config = tiny_config(2, 1);
  config.head_dim = 6;
  config.hidden_size = 18;
  config.intermediate_size = 21;
  require_gradients(config, {17, 5}, 4, 1024);
}

TEST_CASE("gradients agree with autograd for side-by-side weights", "[unit]") {
  LlamaConfig config = tiny_config(4, 2);
  config.head_dim = 32;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  require_gradients(config, {70, 200, 3}, 0, 1024);
}

TEST_CASE("cross-entropy chunks that do not divide give the same loss and gradients", "[unit]") {
  require_gradients(tiny_config(4, 2), {23, 8}, 0, GENERATE(1, 4, 7, 29, 31));
}

TEST_CASE("recompute levels give the same bits", "[unit]") {
  const bool bf16 = GENERATE(false, true);
  LlamaConfig config = tiny_config(4, 2);
  config.head_dim = 32;
  config.hidden_size = 96;
  const FlatModel start = random_model(config, 3).to(bf16 ? at::kBFloat16 : at::kFloat);
  const Batch batch = random_batch(config, {50, 1, 90}, 4);
  ComputeOptions options;
  options.bf16 = bf16;
  FlatModel none = start.to(bf16 ? at::kBFloat16 : at::kFloat);
  const auto reference = train_pass(Llama(config, options), none, batch);
  for (const char* level : {"keep_mlp", "keep_qkv", "keep_attn", "full"}) {
    options.recompute = level;
    FlatModel model = start.to(bf16 ? at::kBFloat16 : at::kFloat);
    const auto result = train_pass(Llama(config, options), model, batch);
    REQUIRE(result.loss_sum == reference.loss_sum);
    REQUIRE(same_bits(model.gradients, none.gradients));
  }
}

TEST_CASE("a tiled feed-forward has the untiled loss and gradients at every recompute level", "[unit]") {
  const bool bf16 = GENERATE(false, true);
  LlamaConfig config = tiny_config(4, 2);
  config.head_dim = 32;
  config.hidden_size = 96;
  config.intermediate_size = 224;
  const auto dtype = bf16 ? at::kBFloat16 : at::kFloat;
  const FlatModel start = random_model(config, 3, 0.1).to(dtype);
  const Batch batch = random_batch(config, {50, 1, 90, 70}, 4);
  ComputeOptions options;
  options.bf16 = bf16;
  FlatModel whole = start.to(dtype);
  const auto reference = train_pass(Llama(config, options), whole, batch);
  for (const int64_t tile : {1, 17, 64, 105, 211, 1000}) {
    options.mlp_tile_tokens = tile;
    options.recompute = "none";
    FlatModel tiled = start.to(dtype);
    const auto result = train_pass(Llama(config, options), tiled, batch);
    INFO("tiles of " << tile << " tokens");
    // Sums are cut at tiles: fp32 sums in another order; in bf16 a product a tile is rounded, not one in all.
    REQUIRE(std::abs(result.loss_sum - reference.loss_sum) < (bf16 ? 1e-3 : 1e-6) * reference.loss_sum);
    for (size_t u = 0; u < whole.gradients.size(); ++u)
      REQUIRE(relative_error(tiled.gradients[u], whole.gradients[u]) < (bf16 ? 2e-2 : 2e-6));
    if (tile >= 211) REQUIRE(same_bits(tiled.gradients, whole.gradients));
    for (const char* level : {"keep_mlp", "keep_qkv", "keep_attn", "full"}) {
      options.recompute = level;
      FlatModel model = start.to(dtype);
      REQUIRE(train_pass(Llama(config, options), model, batch).loss_sum == result.loss_sum);
      REQUIRE(same_bits(model.gradients, tiled.gradients));
    }
  }
}

TEST_CASE("tiles are as equal as they can be and cover every row once", "[unit]") {
  for (const int64_t rows : {1, 7, 64, 65, 1000})
    for (const int64_t most : {1, 2, 63, 64, 999, 5000}) {
      const int64_t size = tile_rows(rows, most);
      REQUIRE(size >= 1);
      REQUIRE(size <= most);
      REQUIRE((rows + size - 1) / size == (rows + most - 1) / most);
    }
}

TEST_CASE("recompute levels keep what they say between forward and backward", "[unit]") {
  const LlamaConfig config = tiny_config(4, 2);
  const FlatModel model = random_model(config, 3);
  const auto kept = [&](const char* level) {
    ComputeOptions options;
    options.recompute = level;
    const Llama llama(config, options);
    Saved saved;
    llama.block_forward(*llama.prepare({{0, 5}}), model.weight_views(1), at::randn({5, config.hidden_size}),
                        &saved);
    std::string names;
    for (const auto& [name, tensor] : saved.tensors) {
      REQUIRE(tensor.defined());
      names += name + " ";
    }
    return names;
  };
  REQUIRE(kept("full") == "x ");
  REQUIRE(kept("keep_attn") == "attn lse x ");
  REQUIRE(kept("keep_qkv") == "attn lse qkv x ");
  REQUIRE(kept("keep_mlp") == "attn gate_up lse qkv x ");
  REQUIRE(kept("none") == "act attn gate_up h lse n1 n2 qkv rstd1 rstd2 x ");
}

TEST_CASE("a packed document has the loss that it has alone, at any place", "[unit]") {
  const LlamaConfig config = tiny_config(4, 2);
  FlatModel model = random_model(config, 5);
  const Llama llama(config, {});
  const std::vector<int64_t> lengths = {13, 40, 1, 22};
  const Batch packed = random_batch(config, lengths, 6);
  const at::Tensor nll = train_pass(llama, model, packed).nll_t;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t start = packed.spans.starts[i], count = lengths[i];
    const Batch alone = {packed.ids.narrow(0, start, count),
                         packed.labels.narrow(0, start, count),
                         packed.weights.narrow(0, start, count),
                         {{0, count}}};
    const at::Tensor expected = train_pass(llama, model, alone).nll_t;
    REQUIRE(at::allclose(nll.narrow(0, start, count), expected, 0, 2e-6));
  }
}

TEST_CASE("continuous positions are a flavour: equal losses in exact arithmetic, other angles", "[unit]") {
  const LlamaConfig config = tiny_config(4, 2);
  FlatModel model = random_model(config, 5);
  const Batch packed = random_batch(config, {13, 40}, 6);
  ComputeOptions options;
  options.continuous_positions = true;
  const at::Tensor restarted = train_pass(Llama(config, {}), model, packed).nll_t;
  const at::Tensor continuous = train_pass(Llama(config, options), model, packed).nll_t;
  REQUIRE(at::allclose(restarted, continuous, 0, 1e-4));
  REQUIRE(at::equal(restarted.narrow(0, 0, 13), continuous.narrow(0, 0, 13)));
  REQUIRE_FALSE(at::equal(restarted, continuous));
}

TEST_CASE("a token without a label has no loss, no gradient and no influence on weights", "[unit]") {
  const LlamaConfig config = tiny_config(4, 2);
  FlatModel model = random_model(config, 5);
  Batch batch = random_batch(config, {8}, 6);
  batch.labels.fill_(-1);
  const auto result = train_pass(Llama(config, {}), model, batch);
  REQUIRE(result.loss_sum == 0);
  REQUIRE(result.nll_t.abs().sum().item<float>() == 0);
  for (const auto& flat : model.gradients) REQUIRE(flat.abs().sum().item<float>() == 0);
}

TEST_CASE("gradients add up over micro-batches", "[unit]") {
  const LlamaConfig config = tiny_config(4, 2);
  const Llama llama(config, {});
  FlatModel both = random_model(config, 5), once = both.to(at::kFloat), twice = both.to(at::kFloat);
  const Batch first = random_batch(config, {20}, 6), second = random_batch(config, {31}, 7);
  train_pass(llama, once, first);
  train_pass(llama, twice, second);
  train_pass(llama, both, first);
  train_pass(llama, both, second);
  for (size_t u = 0; u < both.gradients.size(); ++u)
    REQUIRE(relative_error(both.gradients[u], once.gradients[u] + twice.gradients[u]) < 1e-6);
}

TEST_CASE("bf16 stays near fp32, in loss and in every gradient", "[unit]") {
  LlamaConfig config = tiny_config(4, 2);
  config.head_dim = 32;
  config.hidden_size = 128;
  config.intermediate_size = 192;
  FlatModel fp32 = random_model(config, 5, 0.05).to(at::kBFloat16).to(at::kFloat);
  FlatModel bf16 = fp32.to(at::kBFloat16);
  const Batch batch = random_batch(config, {100, 60}, 6);
  ComputeOptions options;
  options.bf16 = true;
  options.rms_norm = GENERATE("hf", "prolong");
  const auto expected = train_pass(Llama(config, {}), fp32, batch);
  const auto result = train_pass(Llama(config, options), bf16, batch);
  REQUIRE(std::abs(result.loss_sum - expected.loss_sum) < 2e-3 * expected.loss_sum);
  REQUIRE(result.loss_sum != expected.loss_sum);
  const auto wanted = fp32.named(fp32.gradients);
  for (const auto& [name, gradient] : bf16.named(bf16.gradients)) {
    INFO(name);
    REQUIRE(relative_error(gradient, wanted.at(name)) < 0.03);
  }
}

TEST_CASE("spans that are empty or do not tile the sequence are refused", "[unit]") {
  const Llama llama(tiny_config(4, 2), {});
  for (const std::vector<int64_t>& starts :
       std::vector<std::vector<int64_t>>{{0, 4, 4, 9}, {0, 0}, {1, 5}, {0}, {}, {0, 7, 5}}) {
    REQUIRE_THROWS_AS(llama.prepare({starts}), Error);
  }
  const auto context = llama.prepare({{0, 5}});
  const FlatModel model = random_model(llama.config(), 1);
  REQUIRE_THROWS_AS(llama.block_forward(*context, model.weight_views(1), at::randn({6, 24}), nullptr), Error);
}

TEST_CASE("ids outside the vocabulary are an input error", "[unit]") {
  const Llama llama(tiny_config(4, 2), {});
  const FlatModel model = random_model(llama.config(), 1);
  for (int64_t id : {-1, 61}) {
    REQUIRE_THROWS_AS(llama.embed_forward(model.weight_views(0), at::tensor({id}, at::kLong)), Error);
    if (id > 0)
      REQUIRE_THROWS_AS(llama.head(model.weight_views(3), at::randn({1, 24}), at::tensor({id}, at::kLong),
                                   at::ones({1}), nullptr),
                        Error);
  }
}

TEST_CASE("unknown recompute levels and norm flavours are recipe errors", "[unit]") {
  ComputeOptions options;
  options.recompute = "some";
  REQUIRE_THROWS_AS(Llama(tiny_config(4, 2), options), Error);
  options = {};
  options.offload = "weights";
  REQUIRE_THROWS_AS(Llama(tiny_config(4, 2), options), Error);
  options = {};
  options.mlp_tile_tokens = -1;
  REQUIRE_THROWS_AS(Llama(tiny_config(4, 2), options), Error);
  options = {};
  options.rms_norm = "layer";
  REQUIRE_THROWS_AS(Llama(tiny_config(4, 2), options), Error);
}
