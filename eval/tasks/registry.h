// The table of tasks: every name that eval.tasks may hold, and the tasks of a run made from such names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "eval/task.h"

namespace retrace::eval {

// The factories. RULER and perplexity tasks are made for one length or one file.
std::unique_ptr<EvalTask> make_humaneval(const EvalConfig& config);
std::unique_ptr<EvalTask> make_gsm8k(const EvalConfig& config);
std::unique_ptr<EvalTask> make_perplexity(const std::string& name, const std::filesystem::path& file);
std::unique_ptr<EvalTask> make_niah(const std::string& name, int64_t length);  // niah_single_1 | _2 | _3
std::unique_ptr<EvalTask> make_variable_tracking(int64_t length);
std::unique_ptr<EvalTask> make_common_words(int64_t length);

// Every task that `eval.tasks` may name, for `retrace eval --list`.
struct TaskListing {
  std::string name, flavour, about, needs;
};
const std::vector<TaskListing>& task_listings();

// The tasks of a run, in order; `perplexity_sets` name the files of task "perplexity". RULER tasks appear
// once a length. Error{recipe} on an unknown name, with the nearest one.
struct NamedTask {
  std::string id;      // unique in a run: "gsm8k", "niah_single_1-4096", "perplexity_dev"
  std::string name;    // in results: "niah_single_1"
  int64_t length = 0;  // RULER
  std::unique_ptr<EvalTask> task;
};
std::vector<NamedTask> make_tasks(
    const std::vector<std::string>& names, const EvalConfig& config,
    const std::vector<std::pair<std::string, std::filesystem::path>>& perplexity_sets);

}  // namespace retrace::eval
