// Evaluation of one model: prepare -> prompts, generate -> predictions, score -> results, with files between,
// so that each stage resumes and foreign predictions can be scored. Layout of the folder:
//   job.json  prompts/TASK.jsonl  predictions/TASK-RANK.jsonl  results_DATE.json  samples_TASK_DATE.jsonl
//   done.json
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/ranks/ranks.h"
#include "core/recipe/recipe.h"
#include "data/tokenizer/tokenizer.h"
#include "model/engine/engine.h"

namespace retrace::eval {

struct EvalJob {
  std::filesystem::path out;
  model::Engine* engine = nullptr;  // may be null where nothing is generated (scoring, a finished job)
  std::shared_ptr<const data::Tokenizer> tokenizer;
  Ranks ranks;
  std::string model_name;                                        // for people: "repo2agent, step-40 of run"
  std::map<std::string, std::filesystem::path> perplexity_sets;  // name -> JSONL of {"id", "path", "text"}
  std::string stage;               // "prepare", "generate", "score"; "" = all of them
  std::vector<std::string> tasks;  // empty = the recipe's eval.tasks
};

// Every rank calls this. Items are spread over ranks by stride; rank 0 prepares and scores; all return the
// results (null after "prepare" and "generate"). A finished job with the same inputs returns its results at
// once. Error{incomplete} (exit 4), after the results are written, if an item that was asked for has no
// result.
Json run_evaluation(const Recipe& recipe, const EvalJob& job);

}  // namespace retrace::eval
