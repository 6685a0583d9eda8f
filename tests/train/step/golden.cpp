// Training follows its golden trace: loss and gradient norm of 20 fp32 steps of a tiny model, kept in
// fixtures/golden-trace.jsonl. Made by this test; remade, where the arithmetic is meant to change, by
//   RETRACE_REMAKE_GOLDENS=1 build/tests_train "training follows its golden trace"
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "core/files/files.h"
#include "core/json.h"
#include "core/metrics/metrics.h"
#include "tests/train/testing.h"

using namespace retrace;
using namespace retrace::train::testing;

namespace {

constexpr size_t kSteps = 20;
// Matrix products of other processors add in another order; a change of the arithmetic shows far above this.
constexpr double kTolerance = 1e-5;

const fs::path kTrace = fs::path(RETRACE_SOURCE_DIR) / "tests/train/fixtures/golden-trace.jsonl";

}  // namespace

TEST_CASE("training follows its golden trace", "[unit]") {
  Bench bench;
  expect_ok(bench.train("golden", 1, {"train.steps=20", "run.seed=7", "optim.clip_norm=0.5"}));
  const auto losses = bench.losses("golden"), norms = bench.metric("golden", "grad_norm");
  REQUIRE(losses.size() == kSteps);
  REQUIRE(norms.size() == kSteps);
  if (std::getenv("RETRACE_REMAKE_GOLDENS")) {
    std::string text;
    for (size_t i = 0; i < kSteps; ++i)
      text +=
          fmt::format("{{\"step\":{},\"loss\":{:.17g},\"grad_norm\":{:.17g}}}\n", i + 1, losses[i], norms[i]);
    write_file(kTrace, text);
    SKIP("the golden trace is remade");
  }
  std::vector<double> golden_losses, golden_norms;
  for (const Json& line : read_jsonl(kTrace)) {
    golden_losses.push_back(get<double>(line, "loss", "golden trace"));
    golden_norms.push_back(get<double>(line, "grad_norm", "golden trace"));
  }
  REQUIRE(golden_losses.size() == kSteps);
  REQUIRE(golden_losses.back() < 0.97 * golden_losses.front());
  REQUIRE(worst_ratio(losses, golden_losses) < kTolerance);
  REQUIRE(worst_ratio(norms, golden_norms) < kTolerance);
}
