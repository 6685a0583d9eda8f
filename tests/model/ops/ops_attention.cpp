// Attention of both backends against the formula in double: spans of awkward lengths, every GQA ratio,
// gradients, and queries behind a cached prefix.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>

#include "core/error.h"
#include "model/llama/llama_context.h"
#include "model/ops/attention.h"
#include "model/ops/cpu/attention_bf16.h"
#include "model/ops/head_exchange.h"

using namespace retrace;
using namespace retrace::model;

namespace {

struct Reference {
  at::Tensor out, lse, dqkv;  // double; dqkv with respect to rotated rows
};

// out of one span; keys and values repeated for their group; `prefix` rows precede it.
at::Tensor span_attention(const at::Tensor& qkv, const at::Tensor& prefix_k, const at::Tensor& prefix_v,
                          const HeadShape& s, at::Tensor* lse) {
  const int64_t n = qkv.size(0), p = prefix_k.size(0), group = s.heads / s.kv_heads;
  const at::Tensor q = qkv.narrow(1, 0, s.heads * s.head_dim).view({n, s.heads, s.head_dim});
  const auto keys = [&](int64_t at, const at::Tensor& before) {
    const at::Tensor own = qkv.narrow(1, at * s.head_dim, s.kv_heads * s.head_dim);
    return at::cat({before, own}).view({p + n, s.kv_heads, s.head_dim}).repeat_interleave(group, 1);
  };
  const at::Tensor k = keys(s.heads, prefix_k), v = keys(s.heads + s.kv_heads, prefix_v);
  const at::Tensor future = at::ones({n, p + n}, at::kBool).triu(p + 1);
  const at::Tensor scores = (at::einsum("qhe,khe->hqk", {q, k}) / std::sqrt(static_cast<double>(s.head_dim)))
                                .masked_fill(future, -INFINITY);
  if (lse) *lse = at::logsumexp(scores, -1).transpose(0, 1);
  return at::einsum("hqk,khe->qhe", {at::softmax(scores, -1), v}).reshape({n, -1});
}

Reference reference(const at::Tensor& qkv, const at::Tensor& dout, const std::vector<int64_t>& starts,
                    const HeadShape& shape) {
  at::Tensor wide = qkv.to(at::kDouble).detach().requires_grad_(true);
  const at::Tensor none = at::empty({0, shape.kv_heads * shape.head_dim}, at::kDouble);
  std::vector<at::Tensor> outs, lses;
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    at::Tensor lse;
    outs.push_back(
        span_attention(wide.narrow(0, starts[i], starts[i + 1] - starts[i]), none, none, shape, &lse));
    lses.push_back(lse);
  }
  const at::Tensor out = at::cat(outs);
  out.backward(dout.to(at::kDouble));
  return {out.detach(), at::cat(lses).detach(), wide.grad()};
}

// Angles of zero: the gradient comes back as it is.
RopeAngles no_rotation(int64_t tokens, int64_t head_dim) {
  return {at::ones({1, head_dim / 2}), at::zeros({1, head_dim / 2}),
          std::vector<int32_t>(static_cast<size_t>(tokens), 0)};
}

double error_of(const at::Tensor& value, const at::Tensor& expected) {
  return ((value.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

}  // namespace

TEST_CASE("attention and its gradient follow the formula", "[unit]") {
  at::manual_seed(3);
  const bool bf16 = GENERATE(false, true);
  const double bound = bf16 ? 8e-3 : 2e-6;
  for (const HeadShape shape : {HeadShape{4, 2, 64}, HeadShape{3, 1, 32}, HeadShape{2, 2, 96},
                                HeadShape{6, 3, 128}, HeadShape{2, 1, 48}, HeadShape{1, 1, 8}}) {
    for (const std::vector<int64_t>& starts :
         std::vector<std::vector<int64_t>>{{0, 1}, {0, 64}, {0, 63, 64, 129, 330}, {0, 200, 203}}) {
      const int64_t tokens = starts.back();
      INFO(bf16 << " heads " << shape.heads << "/" << shape.kv_heads << " x " << shape.head_dim << " tokens "
                << tokens);
      const auto dtype = bf16 ? at::kBFloat16 : at::kFloat;
      const at::Tensor qkv = (at::randn({tokens, shape.row()}) * 1.5).to(dtype);
      const at::Tensor dout = at::randn({tokens, shape.heads * shape.head_dim}).to(dtype);
      const Reference expected = reference(qkv, dout, starts, shape);
      const AttentionResult result = attention_forward(qkv, starts, shape);
      REQUIRE(error_of(result.out, expected.out) < bound);
      REQUIRE((result.lse_th - expected.lse).abs().max().item<double>() < (bf16 ? 2e-4 : 1e-5));
      const at::Tensor dqkv =
          attention_backward(dout, qkv, result, starts, shape, no_rotation(tokens, shape.head_dim));
      REQUIRE(error_of(dqkv, expected.dqkv) < bound);
    }
  }
}

TEST_CASE("the gradient of queries and keys is rotated back by each token's angle", "[unit]") {
  at::manual_seed(4);
  const HeadShape shape{4, 2, 32};
  const std::vector<int64_t> starts = {0, 5, 70};
  const bool bf16 = GENERATE(false, true);
  const auto dtype = bf16 ? at::kBFloat16 : at::kFloat;
  const at::Tensor qkv = at::randn({70, shape.row()}).to(dtype), dout = at::randn({70, 128}).to(dtype);
  const AttentionResult result = attention_forward(qkv, starts, shape);
  const RopeAngles angles = rope_angles(at::rand({16}), packed_positions(starts, 0, false));
  const at::Tensor rotated_back = attention_backward(dout, qkv, result, starts, shape, angles);
  at::Tensor again = rotated_back.to(at::kFloat).clone();
  rope_forward(again, angles, shape);
  const at::Tensor plain = attention_backward(dout, qkv, result, starts, shape, no_rotation(70, 32));
  REQUIRE(error_of(again, plain.to(at::kDouble)) < (bf16 ? 8e-3 : 1e-6));
  REQUIRE(error_of(rotated_back, plain.to(at::kDouble)) > 0.1);
}

TEST_CASE("queries behind a cached prefix see all of it and themselves causally", "[unit]") {
  at::manual_seed(5);
  const bool bf16 = GENERATE(false, true);
  const auto dtype = bf16 ? at::kBFloat16 : at::kFloat;
  const HeadShape shape{4, 2, 64};
  const int64_t width = shape.kv_heads * shape.head_dim;
  const at::Tensor before = at::randn({90, shape.row()}).to(dtype);
  KeyValueCache cache{at::full({200, width}, NAN).to(dtype), at::full({200, width}, NAN).to(dtype)};
  append_to_cache(before.narrow(0, 0, 30), shape, cache, 0);
  append_to_cache(before.narrow(0, 30, 60), shape, cache, 30);
  for (int64_t prefix : {0, 1, 90}) {
    for (const std::vector<int64_t>& starts :
         std::vector<std::vector<int64_t>>{{0, 1}, {0, 33}, {0, 7, 8, 80}}) {
      const at::Tensor qkv = at::randn({starts.back(), shape.row()}).to(dtype);
      const at::Tensor out = attention_after_prefix(qkv, starts, shape, cache, prefix);
      const at::Tensor rows = before.narrow(0, 0, prefix).to(at::kDouble);
      std::vector<at::Tensor> expected;
      for (size_t i = 0; i + 1 < starts.size(); ++i)
        expected.push_back(span_attention(qkv.narrow(0, starts[i], starts[i + 1] - starts[i]).to(at::kDouble),
                                          rows.narrow(1, 256, width), rows.narrow(1, 256 + width, width),
                                          shape, nullptr));
      REQUIRE(error_of(out, at::cat(expected)) < (bf16 ? 8e-3 : 2e-6));
    }
  }
  REQUIRE_THROWS_AS(append_to_cache(before, shape, cache, 111), Error);
}

TEST_CASE("decoded rows attend to their own caches as a prefill does, and stand alone", "[unit]") {
  for (const bool bf16 : {false, true})
    for (const HeadShape shape : {HeadShape{4, 2, 64}, HeadShape{9, 3, 64}, HeadShape{2, 2, 24}}) {
      const auto dtype = bf16 ? at::kBFloat16 : at::kFloat;
      const int64_t width = shape.kv_heads * shape.head_dim, queries = shape.heads * shape.head_dim;
      const std::vector<int64_t> lengths = {0, 40, 7};
      const at::Tensor qkv = at::randn({3, shape.row()}).to(dtype);
      std::vector<KeyValueCache> caches;
      std::vector<at::Tensor> expected;
      for (size_t r = 0; r < 3; ++r) {
        const at::Tensor before = at::randn({lengths[r], shape.row()}).to(dtype);
        caches.push_back(
            {at::zeros({lengths[r] + 1, width}, dtype), at::zeros({lengths[r] + 1, width}, dtype)});
        append_to_cache(before, shape, caches[r], 0);
        const at::Tensor wide = before.to(at::kDouble);
        expected.push_back(span_attention(qkv.narrow(0, static_cast<int64_t>(r), 1).to(at::kDouble),
                                          wide.narrow(1, queries, width),
                                          wide.narrow(1, queries + width, width), shape, nullptr));
      }
      const at::Tensor out = attention_of_rows(qkv, shape, caches, lengths);
      REQUIRE(error_of(out, at::cat(expected)) < (bf16 ? 8e-3 : 2e-6));
      for (size_t r = 0; r < 3; ++r) {
        const at::Tensor row = qkv.narrow(0, static_cast<int64_t>(r), 1);
        REQUIRE(at::equal(caches[r].keys.narrow(0, lengths[r], 1), row.narrow(1, queries, width)));
        REQUIRE(at::equal(caches[r].values.narrow(0, lengths[r], 1), row.narrow(1, queries + width, width)));
        REQUIRE(at::equal(attention_of_rows(row, shape, {caches[r]}, {lengths[r]}),
                          out.narrow(0, static_cast<int64_t>(r), 1)));
      }
      REQUIRE_THROWS_AS(attention_of_rows(qkv, shape, caches, {0, 41, 7}), Error);
    }
}

TEST_CASE("attention does not depend on the thread count", "[unit]") {
  const HeadShape shape{4, 2, 64};
  const std::vector<int64_t> starts = {0, 100, 130, 400};
  const at::Tensor qkv = at::randn({400, shape.row()}).to(at::kBFloat16);
  const at::Tensor dout = at::randn({400, 256}).to(at::kBFloat16);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> outs, gradients;
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    const AttentionResult result = attention_forward(qkv, starts, shape);
    outs.push_back(result.out);
    gradients.push_back(attention_backward(dout, qkv, result, starts, shape, no_rotation(400, 64)));
  }
  at::set_num_threads(threads);
  REQUIRE((at::equal(outs[0], outs[1]) && at::equal(outs[0], outs[2])));
  REQUIRE((at::equal(gradients[0], gradients[1]) && at::equal(gradients[0], gradients[2])));
}

TEST_CASE("the backend is a function of dtype and head width on a given processor", "[unit]") {
  REQUIRE(std::string(attention_backend(at::kFloat, 64)) == "cpu");
  REQUIRE(std::string(attention_backend(at::kBFloat16, 48)) == "cpu");
  REQUIRE(std::string(attention_backend(at::kBFloat16, 64)) == (has_bf16_attention(64) ? "cpu-bf16" : "cpu"));
}

TEST_CASE("the start-up check finds every backend sound, and a backend that is ruled out is not used",
          "[unit]") {
  for (const HeadShape shape :
       {HeadShape{4, 2, 64}, HeadShape{8, 1, 128}, HeadShape{3, 3, 32}, HeadShape{2, 1, 48}}) {
    const AttentionCheck fp32 = check_attention(at::kFloat, shape);
    REQUIRE(std::string(fp32.backend) == "cpu");
    REQUIRE(fp32.error == 0);
    const AttentionCheck bf16 = check_attention(at::kBFloat16, shape);
    REQUIRE(std::string(bf16.backend) == attention_backend(at::kBFloat16, shape.head_dim));
    REQUIRE((bf16.error > 0 && bf16.error < 0.02));
  }
  allow_bf16_attention(false);
  REQUIRE(std::string(check_attention(at::kBFloat16, {4, 2, 64}).backend) == "cpu");
  allow_bf16_attention(true);
}

namespace {

// Ranks of which each sends what this one sends, but for a factor: rank r's pieces are `factors[r]` times as
// large.
struct ScaledPeers final : ContextPeers {
  explicit ScaledPeers(std::vector<double> by_rank) : factors(std::move(by_rank)) {}
  int64_t size() const override { return static_cast<int64_t>(factors.size()); }
  void all_to_all(const at::Tensor& in, const at::Tensor& out) override {
    const int64_t piece = in.numel() / size();
    for (int64_t r = 0; r < size(); ++r)
      out.narrow(0, r * piece, piece).copy_(in.narrow(0, 0, piece) * factors[static_cast<size_t>(r)]);
  }
  std::vector<double> factors;
};

}  // namespace

TEST_CASE("gradients of a key-value head that ranks hold in copies are summed in fp32 and rounded once",
          "[unit]") {
  // 1 + 3 * 2^-9: added one by one in bf16 each of the small ones is lost, together they are not.
  ScaledPeers peers({1, 0x1p-9, 0x1p-9, 0x1p-9});
  const HeadShape shape{4, 1, 2};
  const at::Tensor dqkv = at::ones({4, heads_of_rank(shape, 4).row()}).to(at::kBFloat16);
  const at::Tensor returned = return_qkv_gradient(peers, dqkv, shape).to(at::kFloat);
  REQUIRE(returned.sizes() == at::IntArrayRef({1, shape.row()}));
  const float expected = at::tensor({1 + 3 * 0x1p-9}).to(at::kBFloat16).item<float>();
  REQUIRE(expected > 1);
  REQUIRE(returned.narrow(1, shape.heads * 2, 4).eq(expected).all().item<bool>());
  REQUIRE(returned[0][0].item<float>() == 1);  // queries are no copies
}
