// Checkpoints of earlier versions, kept for ever under fixtures/: each must load, verify and be trained on.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"
#include "train/checkpoint/state_io.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

TEST_CASE("a checkpoint of the first format loads, and training goes on from it", "[dist]") {
  const fs::path fixture = fs::path(RETRACE_SOURCE_DIR) / "tests/train/fixtures/checkpoint-1";
  const Manifest manifest = read_manifest(fixture / "step-2");
  REQUIRE(manifest.root == "82b43541e7e68120ac6d6c39e9b99986f322b05842d66942a1f8695177d51240");
  REQUIRE(manifest.progress.step == 2);
  REQUIRE(manifest.progress.tokens == 512);
  REQUIRE(manifest.progress.last_loss == 5.690290598716453);
  const StateReader reader(fixture / "step-2", manifest);
  for (int k = 0; k < kNumStateKinds; ++k)
    for (int u = 0; u < reader.layout().num_units(); ++u)
      for (int64_t c = 0; c < reader.layout().num_chunks(u); ++c)
        REQUIRE_FALSE(reader.chunk(static_cast<StateKind>(k), u, c).empty());

  const Bench bench;
  for (const int ranks : {1, 2}) {
    const std::string run = fmt::format("run-{}", ranks);
    make_folders(bench.run(run) / "checkpoints");
    fs::copy(fixture / "step-2", bench.run(run) / "checkpoints" / "step-2");
    const ProcessResult result =
        bench.train_recipe(fixture / "recipe.toml", run, ranks,
                           {fmt::format("data.mds_folders=[\"{}\"]", (fixture / "data").string())});
    expect_ok(result);
    INFO(result.output);
    REQUIRE(contains(result, "continuing at step 2 of 4"));
    const Manifest last = read_manifest(bench.run(run) / "checkpoints" / "step-4");
    REQUIRE(last.progress.last_loss == Catch::Approx(5.546975647291589).epsilon(1e-6));
  }
}
