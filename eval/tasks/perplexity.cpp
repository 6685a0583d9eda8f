// Perplexity of held-out documents: lm-eval's loglikelihood_rolling with word_perplexity, byte_perplexity,
// bits_per_byte.
#include "core/files/files.h"
#include "data/benchmarks/benchmark_files.h"
#include "eval/scoring/count_words.h"
#include "eval/tasks/registry.h"

namespace retrace::eval {
namespace {

class Perplexity : public EvalTask {
 public:
  Perplexity(const std::string& name, fs::path file) : file_(std::move(file)) {
    spec_.name = name;
    spec_.flavour = "lm-eval";
    spec_.kind = RequestKind::loglikelihood_rolling;
    spec_.metrics = {{"word_perplexity", "weighted_perplexity", false},
                     {"byte_perplexity", "weighted_perplexity", false},
                     {"bits_per_byte", "bits_per_byte", false}};
    spec_.prompt_template = "{text}";
  }
  const TaskSpec& spec() const override { return spec_; }
  std::vector<fs::path> inputs(const EvalConfig&) const override { return {file_}; }

  Prepared prepare(const PrepareContext& context) override {
    const auto docs = data::read_json_lines(file_);
    std::vector<Item> items;
    for (const auto& doc : docs) {
      const auto doc_id = static_cast<int64_t>(items.size());
      if (context.config.perplexity_limit > 0 && doc_id >= context.config.perplexity_limit) break;
      const std::string where = fmt::format("{} document {}", file_.string(), doc_id);
      Item item;
      item.doc_id = doc_id;
      item.prompt = get<std::string>(doc, "text", where);
      item.target = item.prompt;
      item.doc = Json::object();  // without the text, which stands in the prompt
      for (const char* key : {"id", "path"})
        if (doc.contains(key)) item.doc[key] = doc[key];
      items.push_back(std::move(item));
    }
    return {std::move(items), static_cast<int64_t>(docs.size())};
  }

  std::vector<Score> score(const Item& item, const std::vector<Answer>& answers,
                           const Sandbox*) const override {
    Score score;
    const double ll = answers.at(0).loglikelihood;
    const auto words = static_cast<double>(count_words(item.prompt)),
               bytes = static_cast<double>(item.prompt.size());
    score.values = {
        {"word_perplexity", ll, words}, {"byte_perplexity", ll, bytes}, {"bits_per_byte", ll, bytes}};
    score.filtered = {fmt::format("{}", ll)};
    return {score};
  }

 private:
  TaskSpec spec_;
  fs::path file_;
};

}  // namespace

std::unique_ptr<EvalTask> make_perplexity(const std::string& name, const fs::path& file) {
  return std::make_unique<Perplexity>(name, file);
}

}  // namespace retrace::eval
