// Speed of forward + backward at the 5.0M-parameter shape (no optimizer). Prints tokens a second; the only
// claim that is checked is that every number is finite, since speed depends on the machine.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "tests/model/llama_testing.h"

using namespace retrace::model;
using namespace retrace::model::testing;

TEST_CASE("speed of forward and backward, 5.0M parameters, 4 x 1,024 tokens", "[slow]") {
  LlamaConfig config;
  config.vocab_size = 4096;
  config.hidden_size = 256;
  config.intermediate_size = 704;
  config.num_layers = 4;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 64;
  config.rope_theta = 10000;
  const FlatModel start = random_model(config, 1, 0.02);
  const Batch batch = random_batch(config, {1024, 1024, 1024, 1024}, 2);
  for (const bool bf16 : {true, false}) {
    for (const char* recompute : {"none", "keep_attn", "full"}) {
      FlatModel model = start.to(bf16 ? at::kBFloat16 : at::kFloat);
      const Llama llama(config, ComputeOptions{bf16, recompute});
      double best_s = INFINITY, loss = 0;
      for (int step = 0; step < 6; ++step) {
        const auto begin = std::chrono::steady_clock::now();
        loss = train_pass(llama, model, batch).loss_sum;
        best_s =
            std::min(best_s, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      }
      std::printf("%s recompute=%s: %.0f tokens/s (best of 6 steps)\n", bf16 ? "bf16" : "fp32", recompute,
                  4096 / best_s);
      REQUIRE(std::isfinite(loss));
    }
  }
}
