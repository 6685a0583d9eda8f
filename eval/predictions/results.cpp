#include "eval/predictions/results.h"

#include <cmath>
#include <ctime>

#include "core/build_info.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/text.h"

namespace retrace::eval {
namespace {

Json generation_kwargs(const ScoredTask& task) {
  return {{"until", task.settings.until},
          {"max_gen_toks", task.settings.max_gen_tokens},
          {"do_sample", task.settings.temperature > 0},
          {"temperature", task.settings.temperature}};
}

Json number_or_na(double value) {
  return std::isfinite(value) ? Json(value) : Json("N/A");
}

// Values of one metric under one filter, over the items that have a result.
std::vector<MetricValue> values_of(const ScoredTask& task, size_t filter, const std::string& metric) {
  std::vector<MetricValue> out;
  for (const auto& scores : task.scores) {
    if (filter >= scores.size() || !scores[filter].graded) continue;
    for (const auto& value : scores[filter].values)
      if (value.metric == metric) out.push_back(value);
  }
  return out;
}

int64_t items_with_result(const ScoredTask& task) {
  int64_t n = 0;
  for (const auto& scores : task.scores) n += !scores.empty() && scores[0].graded ? 1 : 0;
  return n;
}

void add_metrics(const ScoredTask& task, Json& out) {
  for (size_t f = 0; f < task.spec->filters.size(); ++f)
    for (const auto& metric : task.spec->metrics) {
      const auto values = values_of(task, f, metric.name);
      if (values.empty()) continue;
      const std::string& filter = task.spec->filters[f];
      out[metric.name + "," + filter] = aggregate(metric.aggregation, values);
      std::vector<double> plain;
      for (const auto& value : values) plain.push_back(value.value);
      // lm-eval has a standard error for means only, among the aggregations used here.
      out[metric.name + "_stderr," + filter] =
          metric.aggregation == "mean" ? number_or_na(standard_error(plain)) : Json("N/A");
    }
}

Json counts_of(const ScoredTask& task) {
  int64_t truncated = 0, dropped_tokens = 0, at_limit = 0, prompt_tokens = 0, new_tokens = 0;
  for (const auto& [key, reply] : task.replies) {
    truncated += reply.dropped_tokens > 0 ? 1 : 0;
    dropped_tokens += reply.dropped_tokens;
    at_limit += reply.finish == "length" ? 1 : 0;
    prompt_tokens += reply.prompt_tokens;
    new_tokens += reply.new_tokens;
  }
  Json unparsed = Json::object();
  for (size_t f = 0; f < task.spec->filters.size(); ++f) {
    int64_t n = 0;
    for (const auto& scores : task.scores) n += f < scores.size() && !scores[f].parsed ? 1 : 0;
    unparsed[task.spec->filters[f]] = n;
  }
  return {{"truncated_prompts", truncated},
          {"dropped_prompt_tokens", dropped_tokens},
          {"answers_cut_by_length", at_limit},
          {"prompt_tokens", prompt_tokens},
          {"new_tokens", new_tokens},
          {"parse_failures", unparsed},
          {"without_result", task.without_result.size()},
          {"why_without_result", task.without_result}};
}

Json config_of(const ScoredTask& task) {
  Json metrics = Json::array();
  for (const auto& metric : task.spec->metrics)
    metrics.push_back({{"metric", metric.name},
                       {"aggregation", metric.aggregation},
                       {"higher_is_better", metric.higher_is_better}});
  const bool generates = task.spec->kind == RequestKind::generate_until;
  Json config = {{"task", task.name},
                 {"output_type", generates ? "generate_until" : "loglikelihood_rolling"},
                 {"doc_to_text", task.spec->prompt_template},
                 {"metric_list", metrics},
                 {"num_fewshot", task.spec->num_shots},
                 {"repeats", task.spec->samples},
                 {"flavour", task.spec->flavour},
                 {"metadata", {{"version", task.spec->version}}}};
  if (generates) config["generation_kwargs"] = generation_kwargs(task);
  config["template_hash"] = sha256_of_json({task.spec->prompt_template, task.spec->until, task.spec->filters,
                                            task.spec->num_shots, task.spec->flavour});
  return config;
}

}  // namespace

std::string sha256_of_json(const Json& value) {
  return sha256_hex(to_text(value, 2));
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double standard_error(const std::vector<double>& values) {
  if (values.size() < 2) return NAN;
  const double centre = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1)) / std::sqrt(n);
}

double aggregate(const std::string& how, const std::vector<MetricValue>& values) {
  double sum = 0, weight = 0;
  for (const auto& value : values) sum += value.value, weight += value.weight;
  if (how == "mean") return sum / static_cast<double>(values.size());
  if (how == "weighted_perplexity") return std::exp(-sum / weight);
  ensure(how == "bits_per_byte", "a known aggregation");
  return -(sum / weight) / std::log(2.0);
}

std::string date_id(double time_s) {
  const auto seconds = static_cast<std::time_t>(time_s);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H-%M-%S", &parts);
  return fmt::format("{}.{:06d}", text, static_cast<int>((time_s - static_cast<double>(seconds)) * 1e6));
}

std::vector<Json> sample_lines(const ScoredTask& task, int64_t first_doc_id) {
  std::vector<Json> lines;
  const bool rolling = task.spec->kind == RequestKind::loglikelihood_rolling;
  for (size_t i = 0; i < task.items.size(); ++i) {
    const Item& item = task.items[i];
    for (const auto& score : task.scores[i]) {
      Json arguments = {{"arg_0", item.prompt}}, answers = Json::array(), filtered = Json::array(),
           names = Json::array();
      if (!rolling) arguments["arg_1"] = generation_kwargs(task);
      for (const auto& answer : task.answers[i])
        answers.push_back(rolling ? Json(answer.loglikelihood) : Json(answer.text));
      for (const auto& text : score.filtered) filtered.push_back(text);
      if (rolling) filtered = answers;
      for (const auto& value : score.values) names.push_back(value.metric);
      Json line = {{"doc_id", first_doc_id + item.doc_id},
                   {"doc", item.doc},
                   {"target", item.target},
                   {"arguments", {{"gen_args_0", arguments}}},
                   {"resps", {answers}},
                   {"filtered_resps", filtered},
                   {"filter", score.filter},
                   {"metrics", names},
                   {"doc_hash", sha256_of_json(item.doc)},
                   {"prompt_hash", sha256_hex(item.prompt)},
                   {"target_hash", sha256_hex(item.target)}};
      for (const auto& value : score.values)
        line[value.metric] = rolling ? Json({value.value, value.weight}) : Json(value.value);
      if (score.extra.is_object())
        for (const auto& [key, value] : score.extra.items()) line[key] = value;
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

Json make_results(const std::vector<ScoredTask>& tasks, const ResultsContext& context) {
  Json results = Json::object(), groups = Json::object(), subtasks = Json::object(), configs = Json::object(),
       versions = Json::object(), shots = Json::object(), better = Json::object(), counts = Json::object(),
       hashes = Json::object(), more = Json::object();
  std::map<std::string, std::vector<double>> ruler;  // by length, over tasks
  std::map<std::string, std::string> hash_input;
  for (const auto& task : tasks) {
    Json& result = results[task.name];
    if (result.is_null()) result = {{"alias", task.name}, {"sample_len", 0}};
    const int64_t effective = items_with_result(task);
    result["sample_len"] = result["sample_len"].get<int64_t>() + effective;
    add_metrics(task, result);
    configs[task.name] = config_of(task);
    versions[task.name] = task.spec->version;
    shots[task.name] = task.spec->num_shots;
    for (const auto& metric : task.spec->metrics) better[task.name][metric.name] = metric.higher_is_better;
    Json& count = counts[task.name];
    if (count.is_null()) count = {{"original", 0}, {"effective", 0}};
    count["original"] = count["original"].get<int64_t>() + task.original;
    count["effective"] = count["effective"].get<int64_t>() + effective;
    more[task.id] = counts_of(task);
    subtasks[task.name] = Json::array();
    for (const auto& line : sample_lines(task, 0))
      hash_input[task.name] += line["doc_hash"].get<std::string>() + line["prompt_hash"].get<std::string>() +
                               line["target_hash"].get<std::string>();
    if (task.length > 0) {
      const auto key = std::to_string(task.length);
      if (result.contains(key + ",none")) ruler[key].push_back(result[key + ",none"].get<double>());
      subtasks["ruler"].push_back(task.name);
    }
  }
  for (const auto& [name, text] : hash_input) hashes[name] = sha256_hex(text);
  if (!ruler.empty()) {
    groups["ruler"] = {{"alias", "ruler"}};
    for (const auto& [length, values] : ruler) groups["ruler"][length + ",none"] = mean(values);
    groups["ruler"]["tasks"] = ruler.begin()->second.size();
    Json names = Json::array();
    for (const auto& name : subtasks["ruler"])
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    subtasks["ruler"] = names;
  }
  return {{"results", results},
          {"groups", groups},
          {"group_subtasks", subtasks},
          {"configs", configs},
          {"versions", versions},
          {"n-shot", shots},
          {"higher_is_better", better},
          {"n-samples", counts},
          {"config",
           {{"model", "retrace"},
            {"model_args", context.model_name},
            {"batch_size", 1},
            {"device", "cpu"},
            {"limit",
             context.eval_config["limit"].get<int64_t>() > 0 ? context.eval_config["limit"] : Json(nullptr)},
            {"bootstrap_iters", 0},
            {"gen_kwargs",
             {{"temperature", context.eval_config["temperature"]}, {"top_p", context.eval_config["top_p"]}}},
            {"random_seed", context.eval_config["seed"]},
            {"fewshot_seed", 1234},
            {"model_dtype", context.eval_config["dtype"]},
            {"model_fingerprint", context.model_fingerprint},
            {"predictions", context.predictions_file}}},
          {"git_hash", nullptr},
          {"date", context.start_time},
          {"retrace_version", kVersion},
          {"compiler", kCompiler},
          {"tokenizer_fingerprint", context.tokenizer_fingerprint},
          {"add_bos", context.eval_config["add_bos"]},
          {"max_length", context.max_length},
          {"eval_config", context.eval_config},
          {"sandbox", context.sandbox},
          {"counts", more},
          {"task_hashes", hashes},
          {"model_source", "retrace"},
          {"model_name", context.model_name},
          {"total_evaluation_time_seconds", fmt::format("{}", context.end_time - context.start_time)}};
}

void write_samples(const fs::path& folder, const std::vector<ScoredTask>& scored, const std::string& date) {
  std::map<std::string, std::pair<std::string, int64_t>> files;  // task name -> text, items so far
  for (const auto& task : scored) {
    auto& [text, items] = files[task.name];
    for (const auto& line : sample_lines(task, items)) text += to_text(line) + "\n";
    items += static_cast<int64_t>(task.items.size());
  }
  for (const auto& [name, content] : files)
    write_file(folder / fmt::format("samples_{}_{}.jsonl", name, date), content.first);
}

}  // namespace retrace::eval
