#include "eval/evaluation.h"
#include "eval/predictions/results_table.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <thread>

#include "core/files/files.h"
#include "core/hash.h"
#include "core/metrics/metrics.h"
#include "core/text.h"
#include "eval/predictions/predictions.h"
#include "eval/predictions/results.h"
#include "tests/eval/testing.h"

using namespace retrace;
using namespace retrace::eval;
using namespace retrace::eval::testing;

namespace {

// A small GSM8K: question k has the answer k * 10.
void write_gsm8k(const fs::path& folder, int tests) {
  std::string train, test;
  for (int i = 0; i < 8; ++i)
    train += fmt::format("{{\"question\": \"train {}?\", \"answer\": \"It is so.\\n#### {}\"}}\n", i, i);
  for (int i = 0; i < tests; ++i)
    test += fmt::format("{{\"question\": \"test {}?\", \"answer\": \"So.\\n#### {}\"}}\n", i, i * 10);
  write_file(folder / "gsm8k/train.jsonl", train);
  write_file(folder / "gsm8k/test.jsonl", test);
}

// Right on even questions.
std::string answer_to(const std::string& prompt) {
  const size_t at = prompt.rfind("test ");
  const int k = std::stoi(prompt.substr(at + 5));
  return fmt::format(" #### {}\n\nQuestion: next?", k % 2 ? 1 : k * 10);
}

struct Setting {
  TempFolder folder;
  SayingEngine engine{answer_to};
  std::shared_ptr<ByteTokenizer> tokenizer = std::make_shared<ByteTokenizer>();
  EvalJob job;

  explicit Setting(int tests = 6) {
    write_gsm8k(folder / "data", tests);
    job.out = folder / "out";
    job.engine = &engine;
    job.tokenizer = tokenizer;
    job.model_name = "a model";
  }
  Recipe recipe(std::vector<std::pair<std::string, std::string>> more = {}) const {
    more.insert(more.begin(), {{"eval.tasks", "[gsm8k]"}, {"eval.data_dir", (folder / "data").string()}});
    return eval_recipe(more);
  }
  std::vector<fs::path> files(const std::string& beginning) const {
    std::vector<fs::path> out;
    for (const auto& name : list_folder(job.out))
      if (name.starts_with(beginning)) out.push_back(job.out / name);
    return out;
  }
};

}  // namespace

TEST_CASE("an evaluation writes results and samples in lm-eval's shape", "[unit]") {
  Setting s;
  const Json results = run_evaluation(s.recipe(), s.job);
  const Json& task = results["results"]["gsm8k"];
  REQUIRE(task["alias"] == "gsm8k");
  REQUIRE(task["exact_match,strict-match"] == 0.5);
  REQUIRE(task["exact_match,flexible-extract"] == 0.5);
  // Sample standard deviation of {1,0,1,0,1,0} over sqrt(6).
  REQUIRE(std::abs(task["exact_match_stderr,strict-match"].get<double>() - std::sqrt(0.3) / std::sqrt(6.0)) <
          1e-12);
  REQUIRE(task["sample_len"] == 6);
  for (const char* key : {"results", "groups", "group_subtasks", "configs", "versions", "n-shot",
                          "higher_is_better", "n-samples", "config", "git_hash", "date", "task_hashes",
                          "total_evaluation_time_seconds", "model_name"})
    REQUIRE(results.contains(key));
  REQUIRE(results["n-samples"]["gsm8k"] == Json({{"original", 6}, {"effective", 6}}));
  REQUIRE(results["n-shot"]["gsm8k"] == 5);
  REQUIRE(results["versions"]["gsm8k"] == 3);
  REQUIRE(results["higher_is_better"]["gsm8k"]["exact_match"] == true);
  REQUIRE(results["configs"]["gsm8k"]["flavour"] == "lm-eval");
  REQUIRE(results["configs"]["gsm8k"]["template_hash"].get<std::string>().size() == 64);
  REQUIRE(results["add_bos"] == true);
  REQUIRE(results["counts"]["gsm8k"]["truncated_prompts"] == 0);
  REQUIRE(results["counts"]["gsm8k"]["parse_failures"]["strict-match"] == 0);

  const auto sample_files = s.files("samples_gsm8k_");
  REQUIRE(sample_files.size() == 1);
  const auto lines = read_jsonl(sample_files[0]);
  REQUIRE(lines.size() == 12);  // one a document and filter
  const Json& line = lines[0];
  for (const char* key : {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter",
                          "metrics", "doc_hash", "prompt_hash", "target_hash", "exact_match"})
    REQUIRE(line.contains(key));
  REQUIRE(line["resps"] == Json({{" #### 0\n\n"}}));
  REQUIRE(line["filtered_resps"] == Json({"0"}));
  const auto prompt = line["arguments"]["gen_args_0"]["arg_0"].get<std::string>();
  REQUIRE(prompt.ends_with("Question: test 0?\nAnswer:"));
  REQUIRE(line["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"] == 256);
  REQUIRE(line["prompt_hash"] == sha256_hex(prompt));
  REQUIRE(line["target_hash"] == sha256_hex("So.\n#### 0"));
  // sha256 of json.dumps({"question": "test 0?", "answer": "So.\n#### 0"}, indent=2, ensure_ascii=False)
  REQUIRE(line["doc_hash"] ==
          sha256_hex("{\n  \"question\": \"test 0?\",\n  \"answer\": \"So.\\n#### 0\"\n}"));
  REQUIRE(results_table(results).find("exact_match (strict-match)") != std::string::npos);
}

TEST_CASE("a finished evaluation is not done again, and another model or setting is", "[unit]") {
  Setting s;
  const Json first = run_evaluation(s.recipe(), s.job);
  REQUIRE(s.engine.asked == 6);
  REQUIRE(run_evaluation(s.recipe(), s.job) == first);
  s.job.engine = nullptr;
  REQUIRE(run_evaluation(s.recipe(), s.job) == first);
  REQUIRE(s.engine.asked == 6);
  s.job.engine = &s.engine;
  run_evaluation(s.recipe({{"eval.max_gen_tokens", "3"}}), s.job);
  REQUIRE(s.engine.asked == 12);
  s.engine.name = "trained";
  run_evaluation(s.recipe(), s.job);
  REQUIRE(s.engine.asked == 18);
}

TEST_CASE("an interrupted generation goes on with the items that are missing", "[unit]") {
  Setting s;
  int before_failure = 4;
  SayingEngine failing([&](const std::string& prompt) {
    if (before_failure-- == 0) throw Error(Code::io, "the machine went away");
    return answer_to(prompt);
  });
  s.job.engine = &failing;
  REQUIRE(error_of([&] { run_evaluation(s.recipe(), s.job); }).code() == Code::io);
  REQUIRE_FALSE(fs::exists(s.job.out / "done.json"));
  {
    std::string torn = read_file(s.job.out / "predictions/gsm8k-0.jsonl");
    write_file(s.job.out / "predictions/gsm8k-0.jsonl", torn.substr(0, torn.size() - 20));
  }
  before_failure = 1000;
  failing.asked = 0;
  const Json resumed = run_evaluation(s.recipe(), s.job);
  REQUIRE(failing.asked == 3);  // 6 items, 4 answers of which one was torn
  Setting whole;
  REQUIRE(resumed["results"] == run_evaluation(whole.recipe(), whole.job)["results"]);
}

TEST_CASE("ranks share the items, and another number of ranks goes on where they were", "[unit]") {
  Setting s;
  const auto coordinator = make_in_process_coordinator();
  std::vector<SayingEngine> engines(3, SayingEngine(answer_to));
  std::vector<Json> results(3);
  std::vector<std::thread> threads;
  const Recipe recipe = s.recipe();
  for (int rank = 0; rank < 3; ++rank)
    threads.emplace_back([&, rank] {
      EvalJob job = s.job;
      job.engine = &engines[static_cast<size_t>(rank)];
      job.ranks = {rank, 3, coordinator.get()};
      results[static_cast<size_t>(rank)] = run_evaluation(recipe, job);
    });
  for (auto& thread : threads) thread.join();
  for (const auto& engine : engines) REQUIRE(engine.asked == 2);
  REQUIRE(results[0] == results[2]);
  REQUIRE(results[0]["results"]["gsm8k"]["exact_match,strict-match"] == 0.5);
  remove_file(s.job.out / "done.json");
  remove_file(s.job.out / "predictions/gsm8k-1.jsonl");
  REQUIRE(run_evaluation(recipe, s.job)["results"] == results[0]["results"]);
  REQUIRE(s.engine.asked == 2);
}

TEST_CASE("stages run one by one over their files", "[unit]") {
  Setting s;
  s.job.stage = "prepare";
  s.job.engine = nullptr;
  REQUIRE(run_evaluation(s.recipe(), s.job).is_null());
  REQUIRE(read_jsonl(s.job.out / "prompts/gsm8k.jsonl").size() == 6);
  s.job.stage = "score";
  REQUIRE(error_of([&] { run_evaluation(s.recipe(), s.job); }).code() == Code::input);
  s.job.stage = "generate";
  REQUIRE(error_of([&] { run_evaluation(s.recipe(), s.job); }).code() == Code::usage);
  s.job.engine = &s.engine;
  REQUIRE(run_evaluation(s.recipe(), s.job).is_null());
  s.job.stage = "score";
  s.job.engine = nullptr;
  REQUIRE(run_evaluation(s.recipe(), s.job)["results"]["gsm8k"]["exact_match,strict-match"] == 0.5);
  s.job.stage = "scores";
  remove_file(s.job.out / "done.json");
  REQUIRE(error_of([&] { run_evaluation(s.recipe(), s.job); }).status() == 2);
}

TEST_CASE("predictions of other programs are scored, and an item without one is exit status 4", "[unit]") {
  Setting s(3);
  s.job.engine = nullptr;
  const auto file = s.folder / "theirs.jsonl";
  auto score = [&](const std::string& text) {
    write_file(file, text);
    return run_evaluation(s.recipe({{"eval.predictions", file.string()}}),
                          s.job)["results"]["gsm8k"]["exact_match,strict-match"];
  };
  REQUIRE(score("{\"doc_id\": 0, \"completion\": \"#### 0\"}\n{\"doc_id\": 1, \"text\": \"#### "
                "10\"}\n{\"doc_id\": 2, "
                "\"pred\": \"#### 20\"}\n") == 1);
  // lm-eval's samples file has a line for each filter.
  std::string theirs;
  for (const std::string filter : {"strict-match", "flexible-extract"})
    for (int i = 0; i < 3; ++i)
      theirs += fmt::format("{{\"doc_id\": {}, \"resps\": [[\"#### {}\"]], \"filter\": \"{}\"}}\n", i,
                            i == 1 ? 10 : 7, filter);
  REQUIRE(std::abs(score(theirs).get<double>() - 1.0 / 3) < 1e-12);
  // Our own predictions are foreign ones too.
  REQUIRE(score("{\"key\": \"2/0\", \"text\": \"#### 20\"}\n{\"key\": \"0/0\", \"text\": \"#### "
                "1\"}\n{\"key\": \"1/0\", "
                "\"text\": \"#### 1\"}\n") == 1.0 / 3);

  const Error missing =
      error_of([&] { score("{\"doc_id\": 0, \"text\": \"#### 0\"}\n{\"doc_id\": 7, \"text\": \"x\"}\n"); });
  REQUIRE(missing.status() == 4);
  REQUIRE(missing.message().find("2 of the items") != std::string::npos);
  REQUIRE(missing.message().find("gsm8k 1: no prediction") != std::string::npos);
  const auto results = parse_json(read_file(s.files("results_").back()), "results");
  REQUIRE(results["n-samples"]["gsm8k"]["effective"] == 1);
  REQUIRE(results["counts"]["gsm8k"]["without_result"] == 2);
  REQUIRE(error_of([&] { score("{\"doc_id\": 9, \"text\": \"x\"}\n"); }).code() == Code::input);
  REQUIRE(error_of([&] { score("{\"doc_id\": 0}\n"); }).where().find("theirs.jsonl:1") != std::string::npos);
  REQUIRE(error_of([&] { score("{\"doc_id\": 0, \"text\": 3}\n"); }).code() == Code::input);
  REQUIRE(error_of([&] { score("not json\n"); }).code() == Code::corrupt);
}

TEST_CASE("perplexity is lm-eval's, over all documents of each set", "[unit]") {
  Setting s;
  const std::string one = "int main() {}\n", two = "x \xC3\xA9";
  write_file(s.folder / "dev.jsonl", to_text({{"id", "a"}, {"path", "a.c"}, {"text", one}}) + "\n" +
                                         to_text({{"id", "b"}, {"text", two}}) + "\n");
  s.job.perplexity_sets = {{"dev", s.folder / "dev.jsonl"}};
  s.job.tasks = {"perplexity"};
  const Json results = run_evaluation(s.recipe({{"eval.limit", "1"}}), s.job);
  const Json& task = results["results"]["perplexity_dev"];
  // Every byte costs ln 258 nats.
  REQUIRE(std::abs(task["bits_per_byte,none"].get<double>() - std::log2(258.0)) < 1e-6);
  REQUIRE(std::abs(task["byte_perplexity,none"].get<double>() - 258) < 1e-3);
  const auto bytes = static_cast<double>(one.size() + two.size());
  REQUIRE(std::abs(std::log(task["word_perplexity,none"].get<double>()) - bytes * std::log(258.0) / (4 + 2)) <
          1e-5);
  REQUIRE(task["bits_per_byte_stderr,none"] == "N/A");
  REQUIRE(task["sample_len"] == 2);
  const auto lines = read_jsonl(s.files("samples_perplexity_dev_").at(0));
  REQUIRE(lines.at(0)["doc"]["path"] == "a.c");
  REQUIRE(lines.at(0)["bits_per_byte"][1] == one.size());
}

TEST_CASE("RULER's lengths are metrics of one task, and a group has their mean", "[unit]") {
  Setting s;
  SayingEngine finder([](const std::string& prompt) {
    const size_t at = prompt.find(" is: ");
    return at == std::string::npos ? std::string() : prompt.substr(at + 5, 7);
  });
  s.job.engine = &finder;
  need("ruler/nounlist.txt");
  const Recipe recipe = eval_recipe({{"eval.tasks", "[niah_single_1, cwe]"},
                                     {"eval.lengths", "[3000, 3900]"},
                                     {"eval.ruler_samples", "2"},
                                     {"eval.ruler_words", (data_folder() / "ruler").string()}});
  const Json results = run_evaluation(recipe, s.job);
  REQUIRE(results["results"]["niah_single_1"]["3000,none"] == 1);
  REQUIRE(results["results"]["niah_single_1"]["3900,none"] == 1);
  REQUIRE(results["results"]["cwe"]["3900,none"] == 0);
  REQUIRE(results["groups"]["ruler"]["3000,none"] == 0.5);
  REQUIRE(results["results"]["niah_single_1"]["sample_len"] == 4);
  REQUIRE(read_jsonl(s.files("samples_niah_single_1_").at(0)).back()["doc_id"] == 3);
  REQUIRE(results["counts"]["cwe-3000"]["parse_failures"]["none"] == 2);
}

TEST_CASE("prompts that are longer than the model are cut and counted", "[unit]") {
  Setting s;
  SayingEngine small(answer_to, 300);
  s.job.engine = &small;
  const Json results = run_evaluation(s.recipe({{"eval.max_gen_tokens", "50"}}), s.job);
  REQUIRE(results["counts"]["gsm8k"]["truncated_prompts"] == 6);
  REQUIRE(results["counts"]["gsm8k"]["dropped_prompt_tokens"].get<int64_t>() > 0);
  REQUIRE(results["max_length"] == 300);
}

TEST_CASE("an unknown task is a recipe error with the nearest name", "[unit]") {
  Setting s;
  s.job.tasks = {"gsm8"};
  const Error error = error_of([&] { run_evaluation(s.recipe(), s.job); });
  REQUIRE(error.status() == 2);
  REQUIRE(error.hint().find("gsm8k") != std::string::npos);
}

TEST_CASE("means, standard errors and perplexities are lm-eval's", "[unit]") {
  REQUIRE(mean({1, 2, 6}) == 3);
  REQUIRE(std::abs(standard_error({1, 2, 6}) - std::sqrt(7.0) / std::sqrt(3.0)) < 1e-12);
  REQUIRE(std::isnan(standard_error({1})));
  REQUIRE(std::abs(aggregate("weighted_perplexity", {{"m", -2, 1}, {"m", -4, 2}}) - std::exp(2.0)) < 1e-12);
  REQUIRE(std::abs(aggregate("bits_per_byte", {{"m", -2, 1}, {"m", -4, 2}}) - 2 / std::log(2.0)) < 1e-12);
  REQUIRE(date_id(0.25) == "1970-01-01T00-00-00.250000");
}
