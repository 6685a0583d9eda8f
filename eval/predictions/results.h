// Results in lm-eval's shape: results_DATE.json and samples_TASK_DATE.jsonl. What lm-eval does not know
// (flavour, BOS policy, sandbox, truncation and parse failures) stands beside its fields, never instead of
// them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "eval/predictions/predictions.h"
#include "eval/task.h"

namespace retrace::eval {

// One task's items with their scores. RULER's lengths are parts of one task.
struct ScoredTask {
  std::string id, name;
  int64_t length = 0;
  const TaskSpec* spec = nullptr;
  int64_t original = 0;  // items of the whole data set
  std::vector<Item> items;
  std::vector<std::vector<Score>> scores;    // by item, one a filter; empty = no answer
  std::vector<std::vector<Answer>> answers;  // by item
  std::map<std::string, Reply> replies;      // ours only, by key
  std::vector<std::string> without_result;   // "gsm8k 17: no prediction"
  RequestSettings settings;
};

struct ResultsContext {
  std::string model_name, model_fingerprint, tokenizer_fingerprint, predictions_file;
  Json eval_config, sandbox;  // as resolved
  int64_t max_length = 0;
  double start_time = 0, end_time = 0;  // seconds since 1970
};

std::string sha256_of_json(const Json& value);  // of Python's json.dumps(value, indent=2, ensure_ascii=False)

double mean(const std::vector<double>& values);
double standard_error(
    const std::vector<double>& values);  // of the mean, sample deviation; NaN below two values
// mean | weighted_perplexity | bits_per_byte over values with weights.
double aggregate(const std::string& how, const std::vector<MetricValue>& values);

Json make_results(const std::vector<ScoredTask>& tasks, const ResultsContext& context);
// The lines of the samples file of one task (all lengths of a RULER task go into one file, doc_id counting
// on).
std::vector<Json> sample_lines(const ScoredTask& task, int64_t first_doc_id);

std::string date_id(double time_s);  // 2026-01-31T12-00-00.000000

// samples_TASK_DATE.jsonl for every task: one line an item and filter; lengths of one task share a file.
void write_samples(const std::filesystem::path& folder, const std::vector<ScoredTask>& scored,
                   const std::string& date);

}  // namespace retrace::eval
