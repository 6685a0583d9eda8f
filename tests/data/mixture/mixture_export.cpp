// The program's side of comparisons with training loops written elsewhere: the samples of each step of one
// data set, a line a step. RETRACE_MIX_FOLDER = MDS folder, RETRACE_MIX_STEPS, RETRACE_MIX_BATCH,
// RETRACE_MIX_SEED, RETRACE_MIX_OUT = file.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "core/files/files.h"
#include "core/text.h"
#include "data/mixture/mixture.h"

using namespace retrace;

TEST_CASE("batches of a data set, written for training loops elsewhere", "[.][job]") {
  const char* const folder = std::getenv("RETRACE_MIX_FOLDER");
  const char* const steps = std::getenv("RETRACE_MIX_STEPS");
  const char* const size = std::getenv("RETRACE_MIX_BATCH");
  const char* const seed = std::getenv("RETRACE_MIX_SEED");
  const char* const out = std::getenv("RETRACE_MIX_OUT");
  if (!folder || !steps || !size || !seed || !out) SKIP("RETRACE_MIX_* are set by tests/peers");
  const data::Mixture mixture({{"peer", folder, 1.0}}, std::stoull(seed));
  std::string text;
  for (int64_t step = 0; step < std::stoll(steps); ++step) {
    std::vector<std::string> line;
    for (const data::SampleRef& ref : mixture.batch(step, std::stoll(size)))
      line.push_back(std::to_string(ref.index));
    text += join(line, " ") + "\n";
  }
  write_file(out, text);
}
