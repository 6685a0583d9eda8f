// Hygiene: near-duplicates, licence policy, benchmark contamination of files and of thoughts.
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "core/files/files.h"
#include "core/random.h"
#include "synth/hygiene/band_index.h"
#include "synth/hygiene/contamination.h"
#include "synth/hygiene/minhash.h"
#include "synth/record/store.h"
#include "synth/stage/record_maker.h"
#include "synth/stage/selection.h"
#include "tests/synth/input/input_testing.h"
#include "tests/synth/record_testing.h"
#include "tests/synth/stream_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

constexpr const char* kPrompt =
    "def below(numbers, bound):\n    \"\"\"Say whether every one of the given numbers lies below the given "
    "bound, without sorting the numbers first.\"\"\"\n";

std::set<uint64_t> shingle_set(const std::string& text) {
  std::vector<uint64_t> shingles;
  add_shingles(text, kCodeWords, &shingles);
  return {shingles.begin(), shingles.end()};
}

double true_jaccard(const std::string& a, const std::string& b) {
  const auto x = shingle_set(a), y = shingle_set(b);
  size_t both = 0;
  for (const uint64_t s : x) both += y.count(s);
  return static_cast<double>(both) / static_cast<double>(x.size() + y.size() - both);
}

std::string words(uint64_t seed, int n, int changed) {
  Random random(seed, 1), other(seed, 2);
  std::string text;
  for (int i = 0; i < n; ++i) {
    const uint64_t word = random.below(100000);
    text += "w" + std::to_string(i < changed ? other.below(100000) : word) + (i % 8 == 7 ? "\n" : " ");
  }
  return text;
}

fs::path benchmark_folder(const TempFolder& folder) {
  put(folder / "humaneval" / "HumanEval.jsonl.gz",
      gzip_bytes(
          to_text({{"task_id", "T/0"}, {"prompt", kPrompt}, {"canonical_solution", "    return True\n"}}) +
          "\n"));
  return folder.path();
}

}  // namespace

TEST_CASE("packed signatures estimate the Jaccard similarity, and bands find what is similar", "[unit]") {
  for (const int changed : {0, 40, 100, 200, 600}) {
    const std::string a = words(1, 1000, 0), b = words(1, 1000, changed);
    const auto sign = [](const std::string& text) {
      return repository_signature(snapshot_of({{"a.py", text}}));
    };
    const std::string x = sign(a), y = sign(b);
    const double truth = true_jaccard(a, b);
    INFO("changed " << changed << ", Jaccard " << truth);
    REQUIRE(x.size() == 512);
    REQUIRE(std::abs(packed_jaccard(x, y) - truth) < 0.12);  // four standard errors
    const auto p = band_keys(x), q = band_keys(y);
    REQUIRE(p.size() == 25);
    size_t shared = 0;
    for (size_t i = 0; i < p.size(); ++i) shared += p[i] == q[i];
    if (truth > 0.8) REQUIRE(shared > 0);
    if (truth < 0.2) REQUIRE(shared == 0);
  }
  REQUIRE(repository_signature(snapshot_of({{"a.py", "x = y\n"}})).empty());
  REQUIRE(packed_jaccard("", "") == 0);
}

TEST_CASE("a licence policy reads SPDX expressions", "[unit]") {
  const std::vector<std::string> permissive = {"MIT", "Apache-2.0", "BSD-3-Clause"};
  for (const char* good :
       {"MIT", "mit", "MIT OR GPL-3.0-only", "GPL-2.0-only OR Apache-2.0", "MIT AND Apache-2.0",
        "(GPL-2.0-only AND MIT) OR BSD-3-Clause", "Apache-2.0 WITH LLVM-exception"}) {
    INFO(good);
    REQUIRE(licence_allowed(good, permissive));
  }
  for (const char* bad : {"unknown", "GPL-3.0-only", "MIT AND GPL-3.0-only",
                          "MIT AND (GPL-2.0-only OR unknown)", "", "MIT (", "MIT MIT"}) {
    INFO(bad);
    REQUIRE_FALSE(licence_allowed(bad, permissive));
  }
  REQUIRE(licence_allowed("unknown", {}));
  REQUIRE(licence_allowed("unknown", {"unknown"}));
}

TEST_CASE("twelve words in a row with a benchmark are contamination, whatever their case and punctuation",
          "[unit]") {
  const TempFolder folder;
  const Contamination index = Contamination::of({folder / "nothing", benchmark_folder(folder)});
  REQUIRE(index.tasks() == std::map<std::string, int64_t>{{"gsm8k", 0}, {"humaneval", 1}});
  REQUIRE(index.in(kPrompt));
  REQUIRE(index.in("# EVERY one, of the given -- numbers lies (below) the given bound; without sorting!"));
  REQUIRE_FALSE(index.in("every one of the given numbers lies below the given bound"));  // 11 words
  REQUIRE_FALSE(index.in("every one of the given numbers lies above the given bound without sorting it"));
  REQUIRE_FALSE(Contamination().in(kPrompt));
  put(folder / "bad" / "gsm8k" / "test.jsonl", "{\"no\": 1}\n");
  REQUIRE(error_of([&] { Contamination::of({folder / "bad"}); }).code() == Code::corrupt);
}

TEST_CASE("contaminated files and thoughts are left out and counted", "[unit]") {
  using namespace retrace::synth::streaming;
  const TempFolder input, data;
  const handmade::TempFolder out;
  const Contamination index = Contamination::of({benchmark_folder(data)});
  put(input / "clean" / "a.py", tiny_module(1));
  put(input / "mixed" / "a.py", tiny_module(2));
  put(input / "mixed" / "stolen.py", std::string(kPrompt) + "    return max(numbers) < bound\n");
  put(input / "stolen" / "b.py", std::string("VALUE = 1\n\n") + kPrompt + "    return False\n");
  SynthJob job = stream_job(input.path(), out.path());
  job.contamination = &index;
  const Json summary = run_synthesis(stream_recipe(), job);
  REQUIRE(summary["sources"]["dropped_files"]["contaminated"] == 2);
  REQUIRE(summary["sources"]["dropped"]["empty_repository"] == 1);
  REQUIRE(summary["sources"]["benchmark_tasks_checked"]["humaneval"] == 1);
  std::vector<std::string> origins;
  for_each_trajectory(out.path(), [&](const Trajectory& t) {
    origins.push_back(t.origin);
    for (const auto& [hash, blob] : t.blobs) REQUIRE_FALSE(index.in(blob));
  });
  REQUIRE(origins == std::vector<std::string>{"clean", "mixed"});

  Trajectory t = handmade::make_trajectory(handmade::make_repository());
  const std::string rev = t.rev;
  REQUIRE(drop_contaminated(t, index) == 0);
  REQUIRE(t.rev == rev);
  Slot& slot = t.slots.at(1);
  slot.chosen = "I recall: every one of the given numbers lies below the given bound, without sorting.";
  REQUIRE(drop_contaminated(t, index) == 1);
  REQUIRE(slot.chosen.empty());
  REQUIRE(slot.drop == "contaminated");
  REQUIRE(t.rev != rev);
  replay(t);
}

TEST_CASE("of repositories that nearly equal one another the first stays, and a policy drops licences",
          "[unit]") {
  using namespace retrace::synth::streaming;
  const TempFolder input;
  for (const auto& [name, changed] : {std::pair{"a", 0}, {"b", 30}, {"c", 60}, {"d", 900}})
    put(input / name / "x.py",
        "# SPDX-License-Identifier: " + std::string(*name == 'd' ? "MIT" : "Apache-2.0") + "\n\"\"\"" +
            words(5, 1000, changed) + "\"\"\"\n");
  const auto kept = [&](const std::vector<Override>& overrides) {
    const handmade::TempFolder out;
    run_synthesis(stream_recipe(overrides), stream_job(input.path(), out.path()));
    std::string origins;
    for_each_trajectory(out.path(), [&](const Trajectory& t) { origins += t.origin; });
    return origins;
  };
  REQUIRE(kept({}) == "ad");
  REQUIRE(kept({{"hygiene.near_duplicates", "keep"}}) == "abcd");
  REQUIRE(kept({{"hygiene.jaccard", "0.99"}}) == "abcd");
  REQUIRE(kept({{"hygiene.licences", "[\"MIT\"]"}}) == "d");
}
