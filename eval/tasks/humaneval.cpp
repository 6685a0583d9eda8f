// HumanEval as lm-eval asks it of base models: the raw prompt, completed until the next top-level statement.
// Graded by eval/scoring/grader.h in the sandbox; pass@k by the unbiased estimate for every k of 1, 10, 100
// up to the number of samples.
#include "core/files/files.h"
#include "core/text.h"
#include "data/benchmarks/benchmark_files.h"
#include "eval/scoring/grader.h"
#include "eval/tasks/registry.h"

namespace retrace::eval {
namespace {

constexpr const char* kHint =
    "scripts/fetch-humaneval fetches it, or set eval.data_dir to a folder with humaneval/HumanEval.jsonl.gz";

class HumanEval : public EvalTask {
 public:
  explicit HumanEval(const EvalConfig& config) {
    spec_.name = "humaneval";
    spec_.flavour = "lm-eval";
    spec_.max_gen_tokens = 1024;
    spec_.until = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
    for (int64_t k : {1, 10, 100})
      if (k <= config.samples) spec_.metrics.push_back({fmt::format("pass@{}", k), "mean", true});
    spec_.prompt_template = "{prompt}";
    spec_.filters = {"create_test"};
    spec_.samples = config.samples;
    spec_.runs_code = true;
  }
  const TaskSpec& spec() const override { return spec_; }
  std::vector<fs::path> inputs(const EvalConfig& config) const override {
    return {data::find_data(config.data_dir, "humaneval", {"HumanEval.jsonl.gz", "HumanEval.jsonl"}, kHint)};
  }

  Prepared prepare(const PrepareContext& context) override {
    const auto path = inputs(context.config)[0];
    std::vector<Item> items;
    auto docs = data::read_json_lines(path);
    for (auto& doc : docs) {
      Item item;
      item.doc_id = static_cast<int64_t>(items.size());
      if (context.config.limit > 0 && item.doc_id >= context.config.limit) break;
      const std::string where = fmt::format("{} item {}", path.string(), item.doc_id);
      item.prompt = get<std::string>(doc, "prompt", where);
      item.target = get<std::string>(doc, "test", where) + "\ncheck(" +
                    get<std::string>(doc, "entry_point", where) + ")";
      item.doc = std::move(doc);
      items.push_back(std::move(item));
    }
    return {std::move(items), static_cast<int64_t>(docs.size())};
  }

  std::vector<Score> score(const Item& item, const std::vector<Answer>& answers,
                           const Sandbox* sandbox) const override {
    ensure(sandbox != nullptr, "a sandbox for HumanEval");
    Score score;
    score.filter = spec_.filters[0];
    score.extra = {{"result", Json::array()}};
    int64_t passed = 0;
    for (const auto& answer : answers) {
      const Verdict verdict =
          grade(*sandbox, {item.prompt, answer.text, get<std::string>(item.doc, "test", "HumanEval"),
                           get<std::string>(item.doc, "entry_point", "HumanEval")});
      passed += verdict.passed ? 1 : 0;
      score.graded = score.graded && verdict.graded;
      score.filtered.push_back(item.prompt + answer.text);
      score.extra["result"].push_back(verdict.result);
    }
    const auto n = static_cast<int64_t>(answers.size());
    for (const auto& metric : spec_.metrics) {
      const int64_t k = std::stoll(metric.name.substr(5));
      if (k <= n) score.values.push_back({metric.name, pass_at_k(n, passed, k)});
    }
    return {score};
  }

 private:
  TaskSpec spec_;
};

}  // namespace

std::unique_ptr<EvalTask> make_humaneval(const EvalConfig& config) {
  return std::make_unique<HumanEval>(config);
}

}  // namespace retrace::eval
