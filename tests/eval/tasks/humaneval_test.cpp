#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <thread>

#include "core/files/files.h"
#include "core/files/paths.h"
#include "data/benchmarks/benchmark_files.h"
#include "eval/scoring/grader.h"
#include "eval/scoring/score_items.h"
#include "eval/tasks/registry.h"
#include "tests/eval/testing.h"

using namespace retrace;
using namespace retrace::eval;
using namespace retrace::eval::testing;

namespace {

// The folder that holds humaneval/, or a skip that names both places.
EvalConfig humaneval_config() {
  EvalConfig config;
  if (fs::exists(data_folder() / "humaneval/HumanEval.jsonl.gz")) {
    config.data_dir = data_folder().string();
  } else if (!fs::exists(resolve_path("deps:humaneval/HumanEval.jsonl.gz"))) {
    SKIP("no HumanEval in " << (data_folder() / "humaneval").string()
                            << "; scripts/fetch-humaneval fetches it");
  }
  return config;
}

ScoredTask score_with(EvalTask& task, const EvalConfig& config,
                      const std::function<std::string(const Item&)>& completion) {
  ScoredTask scored;
  scored.id = scored.name = "humaneval";
  scored.spec = &task.spec();
  scored.items = task.prepare({config, nullptr}).items;
  for (const auto& item : scored.items) scored.answers.push_back({{completion(item), 0}});
  const Sandbox sandbox{SandboxConfig{}};
  score_items(task, &sandbox, 2, scored);
  return scored;
}

}  // namespace

TEST_CASE("all 164 canonical HumanEval solutions pass, and none of the bare prompts", "[unit]") {
  EvalConfig config = humaneval_config();
  const auto task = make_humaneval(config);
  const ScoredTask right = score_with(*task, config, [](const Item& item) {
    return get<std::string>(item.doc, "canonical_solution", "HumanEval");
  });
  REQUIRE(right.items.size() == 164);
  REQUIRE(right.without_result.empty());
  for (size_t i = 0; i < right.items.size(); ++i) {
    INFO(right.items[i].doc["task_id"] << " " << right.scores[i][0].extra);
    REQUIRE(right.scores[i][0].values[0].value == 1);
  }
  config.limit = 12;
  const ScoredTask empty = score_with(*task, config, [](const Item&) { return std::string("    pass\n"); });
  for (const auto& scores : empty.scores) REQUIRE(scores[0].values[0].value == 0);
}

TEST_CASE("the official example samples get their published verdicts", "[unit]") {
  need("humaneval/example_samples.jsonl");
  const auto problem = data::read_json_lines(data_folder() / "humaneval/example_problem.jsonl").at(0);
  SandboxConfig config;
  config.timeout_s = 3;
  const Sandbox sandbox(config);
  int64_t passed = 0, timed_out = 0;
  const auto samples = data::read_json_lines(data_folder() / "humaneval/example_samples.jsonl");
  for (const auto& sample : samples) {
    const Verdict verdict = grade(
        sandbox,
        {get<std::string>(problem, "prompt", "example"), get<std::string>(sample, "completion", "example"),
         get<std::string>(problem, "test", "example"), get<std::string>(problem, "entry_point", "example")});
    REQUIRE(verdict.graded);
    passed += verdict.passed ? 1 : 0;
    timed_out += verdict.result == "timed out" ? 1 : 0;
  }
  REQUIRE(samples.size() == 6);
  REQUIRE(passed == 3);
  REQUIRE(timed_out == 1);
  REQUIRE(std::abs(pass_at_k(6, passed, 1) - 0.5) < 1e-12);
}

TEST_CASE("pass@k is the unbiased estimate", "[unit]") {
  REQUIRE(pass_at_k(10, 0, 1) == 0);
  REQUIRE(pass_at_k(10, 10, 10) == 1);
  REQUIRE(std::abs(pass_at_k(10, 3, 1) - 0.3) < 1e-12);
  // 1 - C(7,5)/C(10,5) = 1 - 21/252
  REQUIRE(std::abs(pass_at_k(10, 3, 5) - (1 - 21.0 / 252)) < 1e-12);
  REQUIRE(pass_at_k(5, 1, 5) == 1);
}

TEST_CASE("completions sampled several times give pass@k for each k up to their number", "[unit]") {
  EvalConfig config;
  config.samples = 10;
  const auto task = make_humaneval(config);
  REQUIRE(task->spec().metrics.size() == 2);
  Item item;
  item.prompt = "def f(x):\n    \"\"\"x\"\"\"\n";
  item.doc = {{"test", "def check(candidate):\n    assert candidate(1) == 1\n"}, {"entry_point", "f"}};
  std::vector<Answer> answers(10, Answer{"    return 2\n", 0});
  answers[3].text = answers[7].text = "    return x\n";
  const Sandbox sandbox{SandboxConfig{}};
  const auto scores = task->score(item, answers, &sandbox);
  REQUIRE(std::abs(scores[0].values[0].value - 0.2) < 1e-12);
  REQUIRE(scores[0].values[1].metric == "pass@10");
  REQUIRE(scores[0].values[1].value == 1);
}
