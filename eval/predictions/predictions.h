// Prompts and predictions on disk, one JSON object a line; and predictions that another program made.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "eval/predictions/requests.h"
#include "eval/task.h"

namespace retrace::eval {

void write_prompts(const std::filesystem::path& file, const TaskSpec& spec, const std::vector<Item>& items);
std::vector<Item> read_prompts(const std::filesystem::path& file);

// "DOC_ID/SAMPLE": the stable key of an answer within its task.
std::string answer_key(int64_t doc_id, int64_t sample);

// Identity of a request: an answer counts only for the model, settings and prompt that it was made with.
std::string request_identity(const std::string& model, const RequestSettings& settings,
                             const std::string& prompt);

Json prediction_line(const std::string& key, const std::string& request, const Reply& reply);

// All answers in FOLDER/TASK-*.jsonl by key; torn last lines are left out, of equal keys the first counts.
// `wanted` gives the request identity that a key must carry; others are counted in `stale`.
std::map<std::string, Reply> read_predictions(const std::filesystem::path& folder, const std::string& task,
                                              const std::map<std::string, std::string>& wanted,
                                              int64_t& stale);

// Answers of another program for one task, by doc_id and in the order of the file. Reads our own lines,
// lm-eval's samples files, and lines that name the item (key, doc_id, task_id, id or index) and the text
// (text, completion, prediction, pred, response, output or generation). Lines for other items are counted and
// reported; Error{input} if none fits.
std::map<int64_t, std::vector<Answer>> read_foreign(const std::filesystem::path& file,
                                                    const std::string& task_id, const std::string& task_name,
                                                    RequestKind kind, bool only_task,
                                                    const std::vector<Item>& items);

}  // namespace retrace::eval
