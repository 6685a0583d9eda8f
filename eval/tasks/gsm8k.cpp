// GSM8K as lm-eval's task gsm8k 3.0: five worked examples drawn from the training set, strict and flexible
// extraction.
#include "core/files/files.h"
#include "core/text.h"
#include "data/benchmarks/benchmark_files.h"
#include "eval/scoring/pattern.h"
#include "eval/tasks/python_random.h"
#include "eval/tasks/registry.h"

namespace retrace::eval {
namespace {

constexpr int64_t kShotSeed = 1234;  // lm-eval's fewshot_random_seed
constexpr const char* kHint =
    "set eval.data_dir to a folder with gsm8k/train.jsonl and gsm8k/test.jsonl (openai/grade-school-math)";
constexpr const char* kInvalid = "[invalid]";

std::string question_of(const Json& doc, const std::string& where) {
  return "Question: " + get<std::string>(doc, "question", where) + "\nAnswer:";
}

class Gsm8k : public EvalTask {
 public:
  explicit Gsm8k(const EvalConfig& config) {
    spec_.name = "gsm8k";
    spec_.flavour = "lm-eval";
    spec_.until = {"Question:", "</s>", "<|im_end|>"};
    spec_.metrics = {{"exact_match", "mean", true}};
    spec_.num_shots = config.shots >= 0 ? config.shots : 5;
    spec_.version = 3;
    spec_.prompt_template = "Question: {question}\nAnswer: {answer}\n\n{...}Question: {question}\nAnswer:";
    spec_.filters = {"strict-match", "flexible-extract"};
  }
  const TaskSpec& spec() const override { return spec_; }
  std::vector<fs::path> inputs(const EvalConfig& config) const override {
    std::vector<fs::path> paths = {
        data::find_data(config.data_dir, "gsm8k", {"test.jsonl", "test.jsonl.gz"}, kHint)};
    if (spec_.num_shots > 0)
      paths.push_back(data::find_data(config.data_dir, "gsm8k", {"train.jsonl", "train.jsonl.gz"}, kHint));
    return paths;
  }

  // The examples of a document are drawn in document order from one generator, whatever the number of ranks.
  Prepared prepare(const PrepareContext& context) override {
    const auto paths = inputs(context.config);
    const auto tests = data::read_json_lines(paths[0]);
    const auto pool = spec_.num_shots > 0 ? data::read_json_lines(paths[1]) : std::vector<Json>{};
    if (pool.size() < static_cast<size_t>(spec_.num_shots))
      throw Error(
          Code::input,
          fmt::format("{} has {} examples, {} are needed", paths[1].string(), pool.size(), spec_.num_shots),
          "", "eval.shots");
    PythonRandom random(kShotSeed);
    std::vector<Item> items;
    for (const auto& doc : tests) {
      Item item;
      item.doc_id = static_cast<int64_t>(items.size());
      if (context.config.limit > 0 && item.doc_id >= context.config.limit) break;
      for (const size_t shot : random.sample(pool.size(), static_cast<size_t>(spec_.num_shots)))
        item.prompt += question_of(pool[shot], paths[1].string()) + " " +
                       get<std::string>(pool[shot], "answer", paths[1].string()) + "\n\n";
      const std::string where = fmt::format("{} item {}", paths[0].string(), item.doc_id);
      item.prompt += question_of(doc, where);
      item.target = get<std::string>(doc, "answer", where);
      item.doc = doc;
      items.push_back(std::move(item));
    }
    return {std::move(items), static_cast<int64_t>(tests.size())};
  }

  std::vector<Score> score(const Item& item, const std::vector<Answer>& answers,
                           const Sandbox*) const override {
    std::vector<Score> scores;
    const std::string gold = normalise(item.target);
    for (const auto& filter : spec_.filters) {
      Score score;
      score.filter = filter;
      double hits = 0;
      for (const auto& answer : answers) {
        score.filtered.push_back(filter == "strict-match" ? strict(answer.text) : flexible(answer.text));
        if (score.filtered.back() == kInvalid) score.parsed = false;
        hits += normalise(score.filtered.back()) == gold ? 1 : 0;
      }
      score.values = {{"exact_match", hits / static_cast<double>(answers.size())}};
      scores.push_back(std::move(score));
    }
    return scores;
  }

 private:
  std::string strict(const std::string& text) const {
    const auto found = strict_.find_all(text);
    return found.empty() ? kInvalid : std::string(trim(found.front()[1]));
  }
  std::string flexible(const std::string& text) const {
    const auto found = flexible_.find_all(text);
    if (found.empty()) return kInvalid;
    const auto& groups = found.back();
    return std::string(trim(groups[1].empty() ? groups[2] : groups[1]));
  }
  // lm-eval's regexes_to_ignore in order, then ignore_case.
  std::string normalise(const std::string& text) const {
    std::string out = text;
    for (const Pattern& pattern : ignored_) out = pattern.remove_all(out);
    return to_lower(out);
  }

  TaskSpec spec_;
  Pattern strict_{R"(#### (\-?[0-9\.\,]+))"}, flexible_{R"((-?[$0-9.,]{2,})|(-?[0-9]+))"};
  std::array<Pattern, 4> ignored_{Pattern(","), Pattern(R"(\$)"), Pattern("(?s).*#### "), Pattern(R"(\.$)")};
};

}  // namespace

std::unique_ptr<EvalTask> make_gsm8k(const EvalConfig& config) {
  return std::make_unique<Gsm8k>(config);
}

}  // namespace retrace::eval
