// RULER's common words: ten words that appear 30 times among words that appear 3 times, after a worked
// example.
#include <algorithm>
#include <cmath>

#include "core/files/files.h"
#include "core/text.h"
#include "eval/tasks/registry.h"
#include "eval/tasks/ruler.h"

namespace retrace::eval {
namespace {

constexpr const char* kTemplate =
    "Below is a numbered list of words. In these words, some appear more often than others. Memorize the "
    "ones that "
    "appear most often.\n{context}\nQuestion: What are the 10 most common words in the above list? Answer: "
    "The top 10 "
    "words that appear most often in the list are:";
constexpr const char* kPrefixStart = " Answer: T";
constexpr size_t kCommon = 10;
constexpr int64_t kStep = 10, kTrialWords = 4096;

// How often common and other words are repeated, and how many words there are.
struct Repeats {
  size_t common, other;
};

class CommonWords : public RulerTask {
 public:
  explicit CommonWords(int64_t length) : RulerTask("cwe", length) {
    spec_.max_gen_tokens = 120;
    spec_.num_shots = 1;
    spec_.prompt_template = kTemplate;
  }

  std::vector<fs::path> inputs(const EvalConfig& config) const override {
    auto files = word_files(config, {"noun", "adjective", "verb"});
    const fs::path more = words_folder(config) / "english_words.json";
    if (fs::exists(more)) files.push_back(more);
    return files;
  }

  Prepared prepare(const PrepareContext& context) override {
    const auto files = inputs(context.config);
    load_words(files, context.config.seed);
    PythonRandom random(context.config.seed);
    const auto draw = [&](int64_t units) { return draw_text(random, units, context.config.seed); };
    const auto count = [&](const std::string& text) {
      return static_cast<int64_t>(context.tokenizer->encode(text).size());
    };
    RulerSearch search{length_, spec_.max_gen_tokens, 0, kStep, 0};
    const double per_word = static_cast<double>(count(draw(kTrialWords).prompt)) / kTrialWords;
    search.upper =
        std::max(static_cast<int64_t>(std::floor(static_cast<double>(length_) / per_word)) * 2, kStep * 2);
    const int64_t units = fit_units(search, draw, count);
    return draw_items(context.config, search, units, draw, count, kPrefixStart);
  }

 private:
  void load_words(const std::vector<fs::path>& files, int64_t seed) {
    words_.clear();
    for (size_t i = 0; i < 3; ++i)
      for (auto& word : read_words(files[i])) words_.push_back(std::move(word));
    std::sort(words_.begin(), words_.end());
    words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
    PythonRandom(seed).shuffle(words_);
    more_words_.clear();
    if (files.size() <= 3) return;
    const Json more = parse_json(read_file(files[3], 64 << 20), files[3].string());
    for (const auto& [key, word] : more.items()) {
      if (!word.is_string())
        throw Error(Code::corrupt, "the value of '" + key + "' is no word", "", files[3].string());
      more_words_.push_back(word.get<std::string>());
    }
  }

  // The numbered list and its common words.
  std::pair<std::string, std::vector<std::string>> list_of(PythonRandom& random, int64_t num_words,
                                                           Repeats repeats, int64_t seed) const {
    const auto n = static_cast<size_t>(num_words);
    const auto& source = n <= words_.size() ? words_ : more_words_;
    if (n > source.size())
      throw Error(Code::input,
                  fmt::format("cwe at length {} needs {} words, the lists have {}", length_, n,
                              std::max(words_.size(), more_words_.size())),
                  "put RULER's english_words.json beside the word lists", "eval.ruler_words");
    std::vector<const std::string*> chosen, list;
    for (const size_t i : random.sample(source.size(), n)) chosen.push_back(&source[i]);
    const size_t common = std::min(kCommon, n);
    const auto border = chosen.begin() + static_cast<std::ptrdiff_t>(common);
    for (size_t i = 0; i < repeats.common; ++i) list.insert(list.end(), chosen.begin(), border);
    for (size_t i = 0; i < repeats.other; ++i) list.insert(list.end(), border, chosen.end());
    PythonRandom(seed).shuffle(list);
    std::vector<std::string> answers;
    for (size_t i = 0; i < common; ++i) answers.push_back(*chosen[i]);
    return {numbered(list), answers};
  }

  static std::string numbered(const std::vector<const std::string*>& words) {
    std::string out;
    for (size_t i = 0; i < words.size(); ++i) out += fmt::format("{}{}. {}", i ? " " : "", i + 1, *words[i]);
    return out;
  }

  RulerText draw_text(PythonRandom& random, int64_t units, int64_t seed) const {
    const bool is_short = length_ < 4096;
    const auto [shot, shot_answers] =
        list_of(random, is_short ? 20 : 40, is_short ? Repeats{3, 1} : Repeats{10, 3}, seed);
    const auto [list, answers] = list_of(random, units, is_short ? Repeats{6, 1} : Repeats{30, 3}, seed);
    std::vector<const std::string*> shown;
    for (const auto& answer : shot_answers) shown.push_back(&answer);
    return {fill(kTemplate, {{"context", shot}}) + " " + numbered(shown) + "\n" +
                fill(kTemplate, {{"context", list}}),
            answers};
  }

  std::vector<std::string> words_, more_words_;
};

}  // namespace

std::unique_ptr<EvalTask> make_common_words(int64_t length) {
  return std::make_unique<CommonWords>(length);
}

}  // namespace retrace::eval
