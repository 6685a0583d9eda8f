// Each row kernel of each instruction set against the formula, in fp32 and bf16, at widths with and without a
// tail.
#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <cstring>

#include "model/ops/cpu/kernels.h"
#include "model/ops/cpu/linear_bf16.h"
#include "model/ops/cpu/parallel.h"

using namespace retrace::model;

namespace {

struct Set {
  const char* name;
  const KernelTable<float>* floats;
  const KernelTable<Bf16>* bf16s;
};

std::vector<Set> runnable_sets() {
  std::vector<Set> sets = {{"baseline", &baseline::kFloat, &baseline::kBf16}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v3")) sets.push_back({"avx2", &avx2::kFloat, &avx2::kBf16});
  if (__builtin_cpu_supports("x86-64-v4")) sets.push_back({"avx512", &avx512::kFloat, &avx512::kBf16});
#endif
  return sets;
}

template <class T>
const KernelTable<T>& table(const Set& set) {
  if constexpr (std::is_same_v<T, float>)
    return *set.floats;
  else
    return *set.bf16s;
}

template <class T>
constexpr at::ScalarType kDtype = std::is_same_v<T, float> ? at::kFloat : at::kBFloat16;
// Half a unit in the last place of T, relative, with room for fp32 arithmetic.
template <class T>
constexpr double kUlp = std::is_same_v<T, float> ? 4e-6 : 4.2e-3;

template <class T>
T* data(const at::Tensor& t) {
  return static_cast<T*>(t.data_ptr());
}

template <class T>
void require_close(const at::Tensor& value, const at::Tensor& expected) {
  const at::Tensor difference = (value.to(at::kDouble) - expected).abs();
  const at::Tensor bound = expected.abs() * kUlp<T> + 2e-6;
  REQUIRE(difference.le(bound).all().item<bool>());
}

template <class T>
at::Tensor random(at::IntArrayRef shape) {
  return at::randn(shape).to(kDtype<T>);
}

template <class T>
void check_norm(const Set& set, int64_t width) {
  const int64_t rows = 5;
  const at::Tensor x = random<T>({rows, width}), w = random<T>({width}), dy = random<T>({rows, width});
  const at::Tensor residual = random<T>({rows, width});
  at::Tensor y = at::empty_like(x), dx = at::empty_like(x), rstd = at::empty({rows});
  at::Tensor dw = at::ones({width});
  table<T>(set).rms_norm(data<T>(x), data<T>(w), data<T>(y), data<float>(rstd), rows, width, 1e-5f, false);
  at::Tensor x64 = x.to(at::kDouble).requires_grad_(true), w64 = w.to(at::kDouble).requires_grad_(true);
  const at::Tensor y64 = x64 * at::rsqrt(x64.pow(2).mean(-1, true) + 1e-5) * w64;
  require_close<T>(y, y64.detach());
  y64.backward(dy.to(at::kDouble));
  table<T>(set).rms_norm_backward(data<T>(x), data<T>(w), data<float>(rstd), data<T>(dy), data<T>(residual),
                                  data<T>(dx), data<float>(dw), rows, width, false);
  require_close<T>(dx, x64.grad() + residual.to(at::kDouble));
  require_close<float>(dw, w64.grad() + 1);
}

template <class T>
void check_swiglu(const Set& set, int64_t width) {
  const int64_t rows = 3;
  const at::Tensor gate_up = random<T>({rows, 2 * width}) * 4, dact = random<T>({rows, width});
  at::Tensor act = at::empty_like(dact);
  table<T>(set).swiglu(data<T>(gate_up), data<T>(act), rows, width);
  at::Tensor wide = gate_up.to(at::kDouble).requires_grad_(true);
  const auto halves = wide.chunk(2, 1);
  const at::Tensor expected = at::silu(halves[0]) * halves[1];
  require_close<T>(act, expected.detach());
  expected.backward(dact.to(at::kDouble));
  table<T>(set).swiglu_backward(data<T>(gate_up), data<T>(dact), data<T>(gate_up), rows, width);  // in place
  require_close<T>(gate_up, wide.grad());
}

template <class T>
void check_cross_entropy(const Set& set, int64_t width) {
  const int64_t rows = 4;
  at::Tensor logits = random<T>({rows, width}) * 8;
  const at::Tensor labels = at::randint(width, {rows}, at::kLong), weights = at::rand({rows});
  at::Tensor nll = at::empty({rows});
  at::Tensor wide = logits.to(at::kDouble).requires_grad_(true);
  const at::Tensor expected = -at::log_softmax(wide, 1).gather(1, labels.unsqueeze(1)).squeeze(1);
  (expected * weights).sum().backward();
  table<T>(set).cross_entropy(data<T>(logits), data<int64_t>(labels), data<float>(weights), data<float>(nll),
                              rows, width, true);
  REQUIRE(at::allclose(nll.to(at::kDouble), expected, 1e-6, 2e-6));
  require_close<T>(logits, wide.grad());
}

template <class T>
void check_rope(const Set& set, int64_t head_dim) {
  const HeadShape shape{4, 2, head_dim};
  const int64_t rows = 3;
  const at::Tensor qkv = random<T>({rows, shape.row()}), before = qkv.to(at::kDouble);
  const at::Tensor angle = at::rand({8, head_dim / 2}) * 6, cos = angle.cos(), sin = angle.sin();
  const std::vector<int32_t> positions = {7, 0, 3};
  table<T>(set).rope(data<T>(qkv), data<float>(cos), data<float>(sin), positions.data(), 1.0f, rows, shape);
  const at::Tensor index = at::tensor(std::vector<int64_t>(positions.begin(), positions.end()), at::kLong);
  const at::Tensor c = cos.index_select(0, index).to(at::kDouble).unsqueeze(1);
  const at::Tensor s = sin.index_select(0, index).to(at::kDouble).unsqueeze(1);
  const at::Tensor heads = before.narrow(1, 0, 6 * head_dim).view({rows, 6, head_dim});
  const auto halves = heads.chunk(2, 2);
  const at::Tensor rotated = at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, 2);
  require_close<T>(qkv.narrow(1, 0, 6 * head_dim), rotated.reshape({rows, -1}));
  REQUIRE(at::equal(qkv.narrow(1, 6 * head_dim, 2 * head_dim).to(at::kDouble),
                    before.narrow(1, 6 * head_dim, 2 * head_dim)));
}

template <class T>
void check_matrix_rows(const Set& set, int64_t width) {
  const at::Tensor w = random<T>({7, width}), x = random<T>({6, width}), base = random<T>({6, 7});
  at::Tensor y = at::empty({6, 7}, kDtype<T>);
  table<T>(set).matrix_rows(data<T>(w), data<T>(x), data<T>(base), data<T>(y), 7, width, 6, 7);
  const at::Tensor expected = at::mm(x.to(at::kDouble), w.to(at::kDouble).t()) + base.to(at::kDouble);
  REQUIRE(at::allclose(y.to(at::kDouble), expected, kUlp<T>, 1e-5 * std::sqrt(static_cast<double>(width))));
  for (int64_t r = 0; r < 6; ++r) {  // alone, a row has the same bits
    at::Tensor alone = at::empty({7}, kDtype<T>);
    table<T>(set).matrix_rows(data<T>(w), data<T>(x) + r * width, data<T>(base) + r * 7, data<T>(alone), 7,
                              width, 1, 7);
    REQUIRE(at::equal(alone, y[r]));
  }
}

// A group of 3 query heads over keys whose rows are wider than a head; counts around the vector's 16.
template <class T>
void check_attend_row(const Set& set, int64_t width) {
  const int64_t group = 3, stride = width + 5;
  const float scale = 1.0f / std::sqrt(static_cast<float>(width));
  for (int64_t count : {1, 15, 16, 33}) {
    const at::Tensor q = random<T>({group, width}), keys = random<T>({count, stride});
    const at::Tensor values = random<T>({count, stride});
    at::Tensor out = at::empty_like(q), scores = at::empty({count});
    table<T>(set).attend_row(data<T>(q), data<T>(keys), data<T>(values), count, stride, group, width, scale,
                             data<float>(scores), data<T>(out));
    const auto head = [&](const at::Tensor& rows) { return rows.narrow(1, 0, width).to(at::kDouble); };
    const at::Tensor shares = at::softmax(q.to(at::kDouble).mm(head(keys).t()) * double{scale}, -1);
    require_close<T>(out, shares.mm(head(values)));
  }
}

template <class T>
void check_all(const Set& set) {
  for (int64_t width : {1, 8, 15, 16, 17, 64, 100}) {
    INFO(set.name << " width " << width << " " << kDtype<T>);
    check_norm<T>(set, width);
    check_swiglu<T>(set, width);
    check_cross_entropy<T>(set, width);
    check_matrix_rows<T>(set, width);
    check_attend_row<T>(set, width);
    check_rope<T>(set, 2 * width);
  }
}

}  // namespace

TEST_CASE("row kernels follow their formulas on every instruction set", "[unit]") {
  at::manual_seed(1);
  for (const Set& set : runnable_sets()) {
    check_all<float>(set);
    check_all<Bf16>(set);
  }
}

TEST_CASE("the hf flavour of RMSNorm rounds before the product, prolong after", "[unit]") {
  const at::Tensor x = at::randn({4, 256}).to(at::kBFloat16), w = at::randn({256}).to(at::kBFloat16);
  at::Tensor hf = at::empty_like(x), prolong = at::empty_like(x), rstd = at::empty({4});
  const auto& k = kernels<Bf16>();
  k.rms_norm(data<Bf16>(x), data<Bf16>(w), data<Bf16>(hf), data<float>(rstd), 4, 256, 1e-5f, true);
  k.rms_norm(data<Bf16>(x), data<Bf16>(w), data<Bf16>(prolong), data<float>(rstd), 4, 256, 1e-5f, false);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor xhat = wide * rstd.unsqueeze(1);
  REQUIRE(at::equal(hf, w * xhat.to(at::kBFloat16)));
  REQUIRE(at::equal(prolong, (w.to(at::kFloat) * xhat).to(at::kBFloat16)));
  REQUIRE_FALSE(at::equal(hf, prolong));
}

TEST_CASE("conversion to bf16 rounds to nearest even and keeps NaN and infinity", "[unit]") {
  std::vector<float> values = {INFINITY, -INFINITY, 0.0f, -0.0f, 3e38f, 1e-39f};
  for (int i = 0; i < 512; ++i)
    values.push_back((i % 2 ? -1.0f : 1.0f) * (1.0f + static_cast<float>(i) / 128.0f));
  const at::Tensor w = at::tensor(values).to(at::kBFloat16), x = at::tensor({1.5f}).to(at::kBFloat16);
  const int64_t rows = w.numel();
  for (const Set& set : runnable_sets()) {
    at::Tensor y = at::empty({rows}, at::kBFloat16);  // products of two bf16 are exact in fp32, many are ties
    set.bf16s->matrix_rows(data<Bf16>(w), data<Bf16>(x), nullptr, data<Bf16>(y), rows, 1, 1, rows);
    REQUIRE(at::equal(y, (w.to(at::kFloat) * 1.5).to(at::kBFloat16)));
    const at::Tensor nan = at::full({1}, NAN).to(at::kBFloat16);
    set.bf16s->matrix_rows(data<Bf16>(w), data<Bf16>(nan), nullptr, data<Bf16>(y), rows, 1, 1, rows);
    REQUIRE(y.isnan().all().item<bool>());
  }
}

#if defined(__x86_64__)
TEST_CASE("bf16 products of few rows follow the formula and no row looks at another", "[unit]") {
  if (!has_bf16_rows(32)) SKIP("this processor has no AVX512-BF16");
  const auto run = [](const at::Tensor& w, const at::Tensor& x, const at::Tensor& base) {
    at::Tensor y = at::empty({x.size(0), w.size(0)}, at::kBFloat16);
    avx512bf16::matrix_rows(data<Bf16>(w), data<Bf16>(x), base.defined() ? data<Bf16>(base) : nullptr,
                            data<Bf16>(y), w.size(0), w.size(1), x.size(0), w.size(0));
    return y;
  };
  for (int64_t width : {32, 64, 576})
    for (int64_t rows : {1, 3, 4, 21}) {
      const at::Tensor w = random<Bf16>({rows, width}), x = random<Bf16>({7, width});
      const at::Tensor base = random<Bf16>({7, rows});
      const at::Tensor y = run(w, x, base);
      const at::Tensor expected = x.to(at::kDouble).mm(w.to(at::kDouble).t()) + base.to(at::kDouble);
      require_close<Bf16>(y, expected);
      for (int64_t r = 0; r < 7; ++r)
        REQUIRE(at::equal(run(w, x.narrow(0, r, 1), base.narrow(0, r, 1)), y.narrow(0, r, 1)));
      REQUIRE(at::equal(run(w.narrow(0, rows - 1, 1), x, {}), run(w, x, {}).narrow(1, rows - 1, 1)));
    }
  REQUIRE_FALSE(has_bf16_rows(40));
}
#endif

TEST_CASE("rows are split over threads without loss, and exceptions come back", "[unit]") {
  std::vector<int> seen(1001, 0);
  parallel_rows(1001, 10, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
  });
  for (int count : seen) REQUIRE(count == 1);
  REQUIRE_THROWS_AS(parallel_rows(1001, 1, [](int64_t, int64_t) { throw std::runtime_error("row"); }),
                    std::runtime_error);
}
