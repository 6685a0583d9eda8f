#include "eval/predictions/predictions.h"

#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/text.h"
#include "data/benchmarks/benchmark_files.h"

namespace retrace::eval {
namespace {

constexpr const char* kTextFields[] = {"text",     "completion", "prediction", "pred",
                                       "response", "output",     "generation"};

Reply reply_of(const Json& line, const std::string& where) {
  Reply reply;
  reply.answer.text = get_or<std::string>(line, "text", "", where);
  reply.answer.loglikelihood = get_or<double>(line, "loglikelihood", 0.0, where);
  reply.prompt_tokens = get<int64_t>(line, "prompt_tokens", where);
  reply.dropped_tokens = get<int64_t>(line, "dropped_tokens", where);
  reply.new_tokens = get<int64_t>(line, "new_tokens", where);
  reply.finish = get<std::string>(line, "finish", where);
  return reply;
}

// The item that a foreign line speaks of, or -1.
int64_t item_of(const Json& line, const std::string& where, const std::map<std::string, int64_t>& by_name,
                int64_t num_items) {
  for (const char* field : {"doc_id", "index"})
    if (line.contains(field) && line[field].is_number_integer()) {
      const auto id = get<int64_t>(line, field, where);
      return id >= 0 && id < num_items ? id : -1;
    }
  for (const char* field : {"task_id", "id", "key"})
    if (line.contains(field) && line[field].is_string()) {
      const auto name = get<std::string>(line, field, where);
      const auto found = by_name.find(name.substr(0, name.rfind('/')) + "/0");  // another sample of the item
      if (by_name.count(name)) return by_name.at(name);
      if (field == std::string_view("key") && found != by_name.end()) return found->second;
    }
  return -1;
}

// lm-eval keeps [[answer, answer, ...]] or, for likelihoods, [[number]].
std::vector<Answer> answers_of(const Json& line, RequestKind kind, const std::string& where) {
  std::vector<Answer> answers;
  auto add = [&](const Json& value) {
    Answer answer;
    if (kind == RequestKind::generate_until && value.is_string())
      answer.text = value.get<std::string>();
    else if (kind == RequestKind::loglikelihood_rolling && value.is_number())
      answer.loglikelihood = value.get<double>();
    else
      throw Error(Code::input, "an answer of the wrong type", "", where);
    answers.push_back(std::move(answer));
  };
  if (line.contains("resps")) {
    const Json* list = &line["resps"];
    if (list->is_array() && !list->empty() && list->front().is_array()) list = &list->front();
    if (!list->is_array()) throw Error(Code::input, "resps is no list", "", where);
    for (const auto& value : *list) add(value);
  } else if (kind == RequestKind::loglikelihood_rolling && line.contains("loglikelihood")) {
    add(line["loglikelihood"]);
  } else {
    for (const char* field : kTextFields)
      if (line.contains(field)) {
        add(line[field]);
        break;
      }
  }
  if (answers.empty())
    throw Error(
        Code::input, "a line without an answer",
        "the text is looked for in: resps, " + join({std::begin(kTextFields), std::end(kTextFields)}, ", "),
        where);
  return answers;
}

}  // namespace

void write_prompts(const fs::path& file, const TaskSpec& spec, const std::vector<Item>& items) {
  StagedFile out(file);
  for (const auto& item : items)
    out.write(to_text({{"doc_id", item.doc_id},
                       {"prompt", item.prompt},
                       {"target", item.target},
                       {"doc", item.doc},
                       {"until", spec.until}}) +
              "\n");
  out.commit();
}

std::vector<Item> read_prompts(const fs::path& file) {
  std::vector<Item> items;
  for (const auto& line : data::read_json_lines(file)) {
    const std::string where = fmt::format("{}:{}", file.string(), items.size() + 1);
    Item item;
    item.doc_id = get<int64_t>(line, "doc_id", where);
    item.prompt = get<std::string>(line, "prompt", where);
    item.target = get<std::string>(line, "target", where);
    item.doc = get<Json>(line, "doc", where);
    items.push_back(std::move(item));
  }
  return items;
}

std::string answer_key(int64_t doc_id, int64_t sample) {
  return fmt::format("{}/{}", doc_id, sample);
}

std::string request_identity(const std::string& model, const RequestSettings& s, const std::string& prompt) {
  return sha256_hex(fmt::format("{}\n{} {} {} {} {} {}\n{}\n{}", model, s.max_gen_tokens, s.max_length,
                                s.add_bos, s.temperature, s.top_p, s.seed, to_text(s.until),
                                sha256_hex(prompt)))
      .substr(0, 16);
}

Json prediction_line(const std::string& key, const std::string& request, const Reply& reply) {
  Json line = {{"key", key}, {"request", request}};
  if (reply.finish == "scored")
    line["loglikelihood"] = reply.answer.loglikelihood;
  else
    line["text"] = reply.answer.text;
  line["prompt_tokens"] = reply.prompt_tokens;
  line["dropped_tokens"] = reply.dropped_tokens;
  line["new_tokens"] = reply.new_tokens;
  line["finish"] = reply.finish;
  return line;
}

std::map<std::string, Reply> read_predictions(const fs::path& folder, const std::string& task,
                                              const std::map<std::string, std::string>& wanted,
                                              int64_t& stale) {
  std::map<std::string, Reply> replies;
  stale = 0;
  if (!fs::exists(folder)) return replies;
  for (const auto& name : list_folder(folder)) {
    // TASK-RANK.jsonl and nothing else: another task's name may begin with this one's.
    if (!name.starts_with(task + "-") || !name.ends_with(".jsonl")) continue;
    const std::string rank = name.substr(task.size() + 1, name.size() - task.size() - 7);
    if (rank.empty() || rank.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string text = read_file(folder / name);
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
    size_t number = 0;
    for (const auto bytes : split_lines(text)) {
      const std::string where = fmt::format("{}:{}", (folder / name).string(), ++number);
      const Json line = parse_json(bytes, where);
      const auto key = get<std::string>(line, "key", where);
      const auto found = wanted.find(key);
      if (found == wanted.end() || found->second != get<std::string>(line, "request", where))
        ++stale;
      else
        replies.emplace(key, reply_of(line, where));
    }
  }
  return replies;
}

std::map<int64_t, std::vector<Answer>> read_foreign(const fs::path& file, const std::string& task_id,
                                                    const std::string& task_name, RequestKind kind,
                                                    bool only_task, const std::vector<Item>& items) {
  std::map<std::string, int64_t> by_name;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    by_name.emplace(answer_key(items[i].doc_id, 0), place);
    for (const char* field : {"task_id", "id"})
      if (items[i].doc.contains(field) && items[i].doc[field].is_string())
        by_name.emplace(items[i].doc[field].get<std::string>(), place);
  }
  std::map<int64_t, std::vector<Answer>> answers;
  std::string first_filter;
  size_t number = 0, strangers = 0;
  for (const auto& line : data::read_json_lines(file)) {
    const std::string where = fmt::format("{}:{}", file.string(), ++number);
    const auto task = get_or<std::string>(line, "task", "", where);
    if (task.empty() && !only_task)
      throw Error(Code::input, "a line without \"task\" while several tasks are scored",
                  "score one task at a time", where);
    if (!task.empty() && task != task_id && task != task_name) continue;
    // lm-eval writes a line for each filter; their answers are the same.
    const auto filter = get_or<std::string>(line, "filter", "", where);
    if (first_filter.empty()) first_filter = filter;
    if (filter != first_filter) continue;
    const int64_t place = item_of(line, where, by_name, static_cast<int64_t>(items.size()));
    if (place < 0) {
      ++strangers;
      continue;
    }
    for (auto& answer : answers_of(line, kind, where))
      answers[items[static_cast<size_t>(place)].doc_id].push_back(std::move(answer));
  }
  if (answers.empty())
    throw Error(Code::input, "no prediction for any item of " + task_id,
                "each line names its item by doc_id, index, task_id, id or key", file.string());
  if (strangers > 0) warn("{} predictions in {} are for no item of {}", strangers, file.string(), task_id);
  return answers;
}

}  // namespace retrace::eval
