#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "core/hash.h"
#include "eval/task.h"
#include "eval/tasks/registry.h"
#include "tests/eval/testing.h"

using namespace retrace;
using namespace retrace::eval;
using namespace retrace::eval::testing;

TEST_CASE("GSM8K answers are extracted and compared by lm-eval's rules", "[unit]") {
  EvalConfig config;
  const auto task = make_gsm8k(config);
  Item item;
  item.target = "Half of 2,600 is 1300.\n#### 1,300";
  struct Row {
    const char* text;
    const char *strict, *flexible;  // filtered answers
    double strict_hit, flexible_hit;
  };
  const Row rows[] = {
      {"so it is #### 1,300", "1,300", "1,300", 1, 1},
      {"#### 1300.", "1300.", "1300.", 1, 1},
      {"#### 1300 then #### 7", "1300", "7", 1, 0},
      {"The answer is $1,300.", "[invalid]", "$1,300.", 0, 1},
      {"it costs -5", "[invalid]", "-5", 0, 0},
      {"#### -1300", "-1300", "-1300", 0, 0},
      {"no number here", "[invalid]", "[invalid]", 0, 0},
      {"", "[invalid]", "[invalid]", 0, 0},
      {"a 7 alone", "[invalid]", "7", 0, 0},
      {"####1300", "[invalid]", "1300", 0, 1},
      {"1300..", "[invalid]", "1300..", 0, 0},
      {"(1300)", "[invalid]", "1300", 0, 1},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto scores = task->score(item, {{row.text, 0}}, nullptr);
    REQUIRE(scores.size() == 2);
    REQUIRE(scores[0].filter == "strict-match");
    REQUIRE(scores[0].filtered[0] == row.strict);
    REQUIRE(scores[1].filtered[0] == row.flexible);
    REQUIRE(scores[0].values[0].value == row.strict_hit);
    REQUIRE(scores[1].values[0].value == row.flexible_hit);
    REQUIRE(scores[0].parsed == (std::string(row.strict) != "[invalid]"));
  }
}

TEST_CASE("GSM8K prompts hold the shots that lm-eval draws, whatever the limit", "[unit]") {
  need("gsm8k/train.jsonl");
  EvalConfig config;
  config.data_dir = data_folder().string();
  config.limit = 3;
  const auto task = make_gsm8k(config);
  const Prepared prepared = task->prepare({config, nullptr});
  REQUIRE(prepared.items.size() == 3);
  REQUIRE(prepared.original == 1319);
  const auto& prompt = prepared.items[0].prompt;
  REQUIRE(prompt.starts_with("Question: "));
  REQUIRE(prompt.ends_with("\nAnswer:"));
  size_t questions = 0;
  for (size_t at = 0; (at = prompt.find("Question: ", at)) != std::string::npos; ++at) ++questions;
  REQUIRE(questions == 6);
  // tests/peers/test_eval.py compares these texts with lm-eval's own; hashes of the first three.
  config.limit = 1;
  REQUIRE(task->prepare({config, nullptr}).items[0].prompt == prompt);
}

TEST_CASE("missing benchmark data is an input error that says where to get it", "[unit]") {
  TempFolder folder;
  EvalConfig config;
  config.data_dir = folder.path().string();
  const Error error = error_of([&] { make_gsm8k(config)->prepare({config, nullptr}); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(error.hint().find("gsm8k/train.jsonl") != std::string::npos);
}

TEST_CASE("a broken line of benchmark data is named by file and line", "[unit]") {
  TempFolder folder;
  write_file(folder / "gsm8k/train.jsonl", "{\"question\": \"q\", \"answer\": \"#### 1\"}\n");
  write_file(folder / "gsm8k/test.jsonl", "{\"question\": \"q\", \"answer\": \"#### 1\"}\n{\"question\": \n");
  EvalConfig config;
  config.data_dir = folder.path().string();
  config.shots = 1;
  const Error error = error_of([&] { make_gsm8k(config)->prepare({config, nullptr}); });
  REQUIRE(error.code() == Code::corrupt);
  REQUIRE(error.where().find("test.jsonl:2") != std::string::npos);
}
