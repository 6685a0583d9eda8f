#include "eval/tasks/registry.h"

#include "core/files/files.h"
#include "core/text.h"

namespace retrace::eval {
namespace {

bool is_ruler(const std::string& name) {
  return name == "vt" || name == "cwe" || name.starts_with("niah_");
}

std::unique_ptr<EvalTask> make_ruler(const std::string& name, int64_t length) {
  if (name == "vt") return make_variable_tracking(length);
  if (name == "cwe") return make_common_words(length);
  return make_niah(name, length);
}

}  // namespace

const std::vector<TaskListing>& task_listings() {
  static const std::vector<TaskListing> listings = {
      {"perplexity", "lm-eval", "bits per byte of held-out documents, rolling windows",
       "eval.perplexity_files, or a run's held-out repositories"},
      {"humaneval", "lm-eval", "164 Python functions, graded in the sandbox", "scripts/fetch-humaneval"},
      {"gsm8k", "lm-eval", "grade-school mathematics, 5 worked examples",
       "eval.data_dir/gsm8k/{train,test}.jsonl"},
      {"niah_single_1", "ruler/nvidia", "one needle among noise lines, at each of eval.lengths",
       "scripts/fetch-ruler-words"},
      {"niah_single_2", "ruler/nvidia", "one needle (a number) in essays",
       "scripts/fetch-ruler-words, eval.ruler_essays"},
      {"niah_single_3", "ruler/nvidia", "one needle (a UUID) in essays",
       "scripts/fetch-ruler-words, eval.ruler_essays"},
      {"vt", "ruler/nvidia", "variable tracking, four hops", "nothing"},
      {"cwe", "ruler/nvidia", "the ten most common words of a list", "scripts/fetch-ruler-words"}};
  return listings;
}

std::vector<NamedTask> make_tasks(const std::vector<std::string>& names, const EvalConfig& config,
                                  const std::vector<std::pair<std::string, fs::path>>& perplexity_sets) {
  std::vector<NamedTask> tasks;
  std::vector<std::string> known, seen;
  for (const auto& listing : task_listings()) known.push_back(listing.name);
  for (const auto& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string near = nearest_word(name, known);
      throw Error(Code::recipe, "unknown task '" + name + "'",
                  near.empty() ? "`retrace eval --list` names the tasks" : "did you mean '" + near + "'?",
                  "eval.tasks");
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
    seen.push_back(name);
    if (name == "humaneval") tasks.push_back({name, name, 0, make_humaneval(config)});
    if (name == "gsm8k") tasks.push_back({name, name, 0, make_gsm8k(config)});
    if (name == "perplexity") {
      if (perplexity_sets.empty())
        throw Error(Code::recipe, "task perplexity has no documents",
                    "name JSONL files of {\"text\": ...} in eval.perplexity_files", "eval.perplexity_files");
      for (const auto& [set, file] : perplexity_sets) {
        const std::string id = "perplexity_" + set;
        tasks.push_back({id, id, 0, make_perplexity(id, file)});
      }
    }
    if (is_ruler(name)) {
      if (config.lengths.empty()) throw Error(Code::recipe, name + " needs a length", "", "eval.lengths");
      for (const int64_t length : config.lengths)
        tasks.push_back({fmt::format("{}-{}", name, length), name, length, make_ruler(name, length)});
    }
  }
  if (tasks.empty())
    throw Error(Code::recipe, "no task is named", "`retrace eval --list` names the tasks", "eval.tasks");
  return tasks;
}

}  // namespace retrace::eval
