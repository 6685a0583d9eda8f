// What runs on a GPU beside what runs on the CPU: kernels, attention, whole passes, the engine. Skipped, with
// the reason, where there is no GPU or no libretrace_cuda.so beside the test program.
#include <catch2/catch_test_macros.hpp>

#include "core/error.h"
#include "model/device/library_table.h"
#include "model/device/te_choice.h"
#include "model/engine/engine.h"
#include "model/files/weights.h"
#include "model/llama/llama_context.h"
#include "model/ops/attention.h"
#include "model/ops/host_memory.h"
#include "model/ops/rms_norm.h"
#include "model/ops/swiglu.h"
#include "tests/model/cuda/gpu_kernels_testing.h"
#include "tests/model/llama_testing.h"

using namespace retrace;
using namespace retrace::model;
using namespace retrace::model::testing;

namespace {

void need_gpu() {
  std::string reason;
  try {
    choose_device("cuda");
    use_gpu(0);
  } catch (const Error& problem) {
    reason = problem.message();
  }
  if (!reason.empty()) SKIP(reason);
}

void need_te() {
  need_gpu();
  const TeChoice choice = choose_fused("auto", "", "bfloat16", "cuda");
  if (!choice.used) SKIP(choice.why);
}

std::vector<at::Tensor> gradients_of(FlatModel model, const ComputeOptions& options, const Batch& batch,
                                     double* loss) {
  const Llama llama(model.config, options);
  *loss = train_pass(llama, model, batch).loss_sum;
  for (at::Tensor& flat : model.gradients) flat = flat.cpu();
  return model.gradients;
}

}  // namespace

TEST_CASE("CUDA kernels compute what the CPU's kernels compute", "[gpu]") {
  need_gpu();
  gpu_testing::check_kernels<float>(row_kernels<float>(), at::kCUDA, 1000, 4096);
  gpu_testing::check_kernels<Bf16>(row_kernels<Bf16>(), at::kCUDA, 1000, 4096);
  gpu_testing::check_kernels<Bf16>(row_kernels<Bf16>(), at::kCUDA, 130, 128256);
}

TEST_CASE("an AdamW step on the GPU follows the formula", "[gpu]") {
  need_gpu();
  at::manual_seed(2);
  const int64_t n = 100003;
  const AdamWStep step{0.9f, 0.1f, 0.95f, 0.05f, 1e-3f, 0.7f, 1e-8f, 0.5f, 0.999f, 1.0f};
  at::Tensor master = at::randn({n}), m = at::randn({n}), v = at::rand({n});
  const at::Tensor gradient = at::randn({n}), half = at::full({1}, 0.5f);
  std::vector<at::Tensor> there;
  for (const at::Tensor& t : {master, m, v, gradient, half}) there.push_back(t.to(at::kCUDA));
  at::Tensor bf16 = at::empty({n}, at::TensorOptions(at::kCUDA).dtype(at::kBFloat16));
  const auto at_gpu = [&](size_t i) { return there[i].data_ptr<float>(); };
  cuda_library().optimizer->adamw(step, step.decay, at_gpu(4), n, at_gpu(0), at_gpu(1), at_gpu(2), at_gpu(3),
                                  static_cast<uint16_t*>(bf16.data_ptr()));
  const at::Tensor g = gradient * 0.25;
  m = m * 0.9f + g * 0.1f;
  v = v * 0.95f + g * 0.05f * g;
  master = master * 0.999f - (m / (v.sqrt() / 0.7f + 1e-8f)) * 1e-3f;
  REQUIRE(at::allclose(there[1].cpu(), m, 1e-6, 1e-7));
  REQUIRE(at::allclose(there[2].cpu(), v, 1e-6, 1e-7));
  REQUIRE(at::allclose(there[0].cpu(), master, 1e-6, 1e-6));
  REQUIRE(at::equal(bf16.cpu(), there[0].cpu().to(at::kBFloat16)));
}

TEST_CASE("attention on the GPU passes the self-test that training runs at its start", "[gpu]") {
  need_gpu();
  for (const HeadShape shape : {HeadShape{4, 2, 64}, HeadShape{32, 8, 128}, HeadShape{9, 3, 64}}) {
    const AttentionCheck flash = check_attention(at::kBFloat16, shape, at::kCUDA);
    REQUIRE(std::string(flash.backend) == "flash");
    REQUIRE(flash.error < 0.01);
    const AttentionCheck math = check_attention(at::kFloat, shape, at::kCUDA);
    REQUIRE(std::string(math.backend) == "math");
    REQUIRE(math.error < 1e-5);
  }
}

TEST_CASE("Transformer Engine's attention passes the self-test, and auto goes on without it where it fails",
          "[gpu]") {
  need_te();
  for (const HeadShape shape : {HeadShape{4, 2, 64}, HeadShape{32, 8, 128}, HeadShape{32, 32, 128}}) {
    set_te_use(TeUse::all);
    const AttentionCheck check = check_attention(at::kBFloat16, shape, at::kCUDA);
    REQUIRE(std::string(check.backend) == "te");
    REQUIRE(check.error < 0.01);
    REQUIRE(std::string(check_attention(at::kFloat, shape, at::kCUDA).backend) == "math");
  }
  // Its backward is asked to be deterministic.
  const at::Tensor qkv = at::randn({600, HeadShape{8, 2, 128}.row()}).to(at::kCUDA).to(at::kBFloat16);
  const HeadShape shape{8, 2, 128};
  const RopeAngles still = rope_angles(at::zeros({64}), std::vector<int32_t>(600, 0), at::kCUDA);
  const AttentionResult result = attention_forward(qkv, {0, 1, 257, 600}, shape);
  const auto gradient = [&] {
    return attention_backward(result.out, qkv, result, {0, 1, 257, 600}, shape, still);
  };
  REQUIRE(at::equal(gradient(), gradient()));
  set_te_use(TeUse::nothing);
}

TEST_CASE("Transformer Engine's RMSNorm, RoPE and SwiGLU compute what fp32 ATen computes", "[gpu]") {
  need_te();
  const auto restore = [] { set_te_use(TeUse::nothing); };
  at::manual_seed(7);
  const auto bf16 = [](at::IntArrayRef sizes) { return at::randn(sizes).to(at::kBFloat16); };
  set_te_use(TeUse::all);
  const at::Tensor x = bf16({130, 4096}), w = bf16({4096}), wide = x.to(at::kFloat);
  const RmsNormResult norm = rms_norm_forward(x.to(at::kCUDA), w.to(at::kCUDA), 1e-5, false);
  const at::Tensor rstd = at::rsqrt(wide.pow(2).mean(-1) + 1e-5);
  REQUIRE(relative_error(norm.rstd_t.cpu(), rstd) < 1e-5);
  REQUIRE(relative_error(norm.y_td.cpu(), wide * rstd.unsqueeze(1) * w.to(at::kFloat)) < 4e-3);

  const at::Tensor gate_up = bf16({77, 2 * 512}), dact = bf16({77, 512});
  at::Tensor leaf = gate_up.to(at::kFloat).requires_grad_(true);
  const at::Tensor act = at::silu(leaf.narrow(1, 0, 512)) * leaf.narrow(1, 512, 512);
  act.backward(dact.to(at::kFloat));
  REQUIRE(relative_error(swiglu_forward(gate_up.to(at::kCUDA)).cpu(), act.detach()) < 4e-3);
  REQUIRE(relative_error(swiglu_backward(gate_up.to(at::kCUDA), dact.to(at::kCUDA)).cpu(), leaf.grad()) <
          4e-3);

  LlamaConfig config = tiny_config(4, 2);
  config.head_dim = 64;
  const HeadShape shape{4, 2, 64};
  const at::Tensor inverse = rope_inverse_frequencies(config), qkv = bf16({90, shape.row()});
  const std::vector<int32_t> positions = packed_positions({0, 1, 40, 90}, 17, false);
  at::Tensor here = qkv.to(at::kFloat), there = qkv.to(at::kCUDA);
  rope_forward(here, rope_angles(inverse, positions), shape);
  const RopeAngles angles = rope_angles(inverse, positions, at::kCUDA);
  REQUIRE(angles.angle_pe.defined());
  rope_forward(there, angles, shape);
  REQUIRE(relative_error(there.cpu(), here) < 4e-3);
  rope_backward_on_gpu(there, angles, shape);
  REQUIRE(relative_error(there.cpu(), qkv) < 8e-3);
  restore();
}

TEST_CASE("inputs that wait in host memory come back with their bits while the GPU works", "[gpu]") {
  need_gpu();
  const c10::Device gpu(at::kCUDA);
  HostStore store(gpu, 3);
  std::vector<at::Tensor> values;
  for (size_t i = 0; i < 3; ++i) {
    const at::Tensor value = at::randn({1 << 22}).to(gpu);
    values.push_back(value.cpu());
    store.send(i, value);
    at::mm(at::randn({2048, 2048}).to(gpu), at::randn({2048, 2048}).to(gpu));
    store.sent(i);
  }
  store.fetch(2);
  for (size_t i = 3; i-- > 0;) {
    if (i > 0) store.fetch(i - 1);
    REQUIRE(at::equal(store.take(i).cpu(), values[i]));
  }
  REQUIRE(to_host(values[0].to(gpu)).is_pinned());
}

TEST_CASE("a training pass on the GPU has the CPU's loss and gradients", "[gpu]") {
  need_gpu();
  for (const bool tied : {false, true})
    for (const char* recompute : {"none", "keep_qkv", "keep_attn", "full"}) {
      INFO(recompute << (tied ? " tied" : ""));
      LlamaConfig config = tiny_config(4, 2, tied);
      config.head_dim = 64;
      const FlatModel model = random_model(config, 21, 0.05);
      const Batch batch = random_batch(config, {33, 1, 70, 24}, 22, 5);
      ComputeOptions options;
      options.recompute = recompute;
      double expected_loss = 0, loss = 0;
      const auto expected = gradients_of(model, options, batch, &expected_loss);
      options.device = "cuda";
      const auto fp32 = gradients_of(model.to(c10::Device(at::kCUDA)), options, batch, &loss);
      REQUIRE(std::abs(loss - expected_loss) < 1e-5 * expected_loss);
      for (size_t u = 0; u < expected.size(); ++u) REQUIRE(relative_error(fp32[u], expected[u]) < 1e-4);
      options.bf16 = true;
      const auto bf16 =
          gradients_of(model.to(at::kBFloat16).to(c10::Device(at::kCUDA)), options, batch, &loss);
      REQUIRE(std::abs(loss - expected_loss) < 1e-2 * expected_loss);
      for (size_t u = 0; u < expected.size(); ++u) REQUIRE(relative_error(bf16[u], expected[u]) < 5e-2);
    }
}

TEST_CASE("the engine on the GPU scores and generates as on the CPU", "[gpu]") {
  need_gpu();
  LlamaConfig config = tiny_config(4, 2);
  config.head_dim = 64;
  const auto weights = random_weights(config, 5, 0.2);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 200; ++i) ids.push_back(i * 7 % static_cast<int32_t>(config.vocab_size));
  EngineOptions options;
  options.prefill_chunk = 64;
  const auto cpu = make_engine(config, *weights, options);
  options.device = "cuda";
  const auto gpu = make_engine(config, *weights, options);
  const auto near = [](const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) REQUIRE(std::abs(a[i] - b[i]) < 1e-4f);
  };
  near(gpu->logprobs(ids, 1), cpu->logprobs(ids, 1));
  const std::vector<int32_t> prefix(ids.begin(), ids.begin() + 90);
  const std::vector<std::vector<int32_t>> ends = {{1, 2, 3}, {5}, {9, 8, 7, 6, 5, 4}};
  const auto a = gpu->logprobs_after(prefix, ends), b = cpu->logprobs_after(prefix, ends);
  for (size_t i = 0; i < ends.size(); ++i) near(a[i], b[i]);
  GenerateOptions generate;
  generate.max_tokens = 20;
  REQUIRE(gpu->generate(prefix, generate) == cpu->generate(prefix, generate));
}

TEST_CASE("Transformer Engine by name is refused with a reason where it cannot be, auto says why not",
          "[unit]") {
  REQUIRE_THROWS_AS(choose_fused("triton", "", "bfloat16", "cpu"), Error);
  REQUIRE_FALSE(choose_fused("own", "", "bfloat16", "cpu").used);
  const TeChoice automatic = choose_fused("auto", "", "bfloat16", "cpu");
  REQUIRE_FALSE(automatic.used);
  REQUIRE(automatic.why == "it works on a GPU, the device is the CPU");
  REQUIRE(te_use() == TeUse::nothing);
  for (const auto& [dtype, device, reason] : {std::tuple{"bfloat16", "cpu", "the device is the CPU"},
                                              {"float32", "cuda", "model.dtype is float32"}}) {
    std::string message;
    try {
      choose_fused("te", "", dtype, device);
    } catch (const Error& refused) {
      REQUIRE(refused.code() == Code::recipe);
      message = refused.message();
    }
    REQUIRE(message.find(reason) != std::string::npos);
    REQUIRE(te_use() == TeUse::nothing);
  }
}

TEST_CASE(
    "Transformer Engine's library is looked for where it was named, else in the environment, else at torch",
    "[unit]") {
  ::unsetenv(kTeEnvironment);
  REQUIRE(te_places("/a/b.so") == std::vector<std::filesystem::path>{"/a/b.so"});
  REQUIRE(te_places("").back() == "libtransformer_engine.so");
  ::setenv(kTeEnvironment, "/c/d.so", 1);
  REQUIRE(te_places("") == std::vector<std::filesystem::path>{"/c/d.so"});
  REQUIRE(te_places("/a/b.so").front() == "/a/b.so");
  ::unsetenv(kTeEnvironment);
}

TEST_CASE("rows whose positions ascend by one are runs", "[unit]") {
  using List = std::vector<int32_t>;
  REQUIRE(position_runs({}) == List{0});
  REQUIRE(position_runs({5}) == List{0, 1});
  REQUIRE(position_runs({0, 1, 2, 0, 1, 0}) == List{0, 3, 5, 6});
  REQUIRE(position_runs({7, 8, 9, 10}) == List{0, 4});
  REQUIRE(position_runs({0, 0, 0}) == List{0, 1, 2, 3});
}

TEST_CASE("on a CPU, what waits in a host store comes back as it was", "[unit]") {
  HostStore store(at::kCPU, 2);
  for (const int64_t size : {5, 5, 9}) {
    at::Tensor value = at::randn({size}), expected = value.clone();
    store.send(1, value);
    store.sent(1);
    value.zero_();
    store.fetch(1);
    REQUIRE(at::equal(store.take(1), expected));
  }
  REQUIRE_THROWS_AS(store.fetch(0), Error);
  REQUIRE_THROWS_AS(store.take(1), Error);
}

TEST_CASE("without a GPU, auto is the CPU and cuda is refused with what is missing", "[unit]") {
  REQUIRE(choose_device("cpu") == "cpu");
  REQUIRE_THROWS_AS(choose_device("tpu"), Error);
  const std::string automatic = choose_device("auto");
  if (automatic == "cuda") SKIP("this machine has a GPU");
  try {
    choose_device("cuda");
    FAIL("cuda was accepted where auto finds none");
  } catch (const Error& refused) {
    REQUIRE(refused.code() == Code::recipe);
    REQUIRE(refused.message().find("device cuda is not available: ") == 0);
    REQUIRE(refused.message().size() > 40);
  }
}
