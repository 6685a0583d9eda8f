// RULER's variable tracking: one chain of four hops among noise lines, after a worked example.
#include <algorithm>
#include <set>

#include "core/text.h"
#include "eval/tasks/registry.h"
#include "eval/tasks/ruler.h"

namespace retrace::eval {
namespace {

constexpr const char* kTemplate =
    "Memorize and track the chain(s) of variable assignment hidden in the following "
    "text.\n\n{context}\nQuestion: Find "
    "all variables that are assigned the value {query} in the text above. Answer: According to the chain(s) "
    "of variable "
    "assignment in the text above, {num_v} variables are assigned the value {query}, they are: ";
constexpr const char* kPrefixStart = " Answer: A";
constexpr const char* kExampleValue = "12345";
constexpr size_t kHops = 4;
constexpr int64_t kExampleLength = 500, kExampleStep = 5;

class VariableTracking : public RulerTask {
 public:
  explicit VariableTracking(int64_t length) : RulerTask("vt", length) {
    spec_.max_gen_tokens = 30;
    spec_.num_shots = 1;
    spec_.prompt_template = kTemplate;
  }
  std::vector<std::filesystem::path> inputs(const EvalConfig&) const override { return {}; }

  Prepared prepare(const PrepareContext& context) override {
    Draws draws{PythonRandom(context.config.seed),
                NumpyRandomState(static_cast<uint32_t>(context.config.seed))};
    const auto count = [&](const std::string& text) {
      return static_cast<int64_t>(context.tokenizer->encode(text).size());
    };
    const std::string example = make_example(draws, count);
    const auto draw = [&](int64_t units) { return draw_text(draws, units, false); };
    RulerSearch search{length_, spec_.max_gen_tokens, count(example), length_ < 4096 ? 5 : 10, 0};
    search.upper = upper_of(search.step, length_, draw, count);
    const int64_t units = fit_units(search, draw, count);
    const auto draw_with_example = [&](int64_t n) {
      RulerText text = draw_text(draws, n, false);
      if (text.ok) text.prompt = renamed(draws, example) + "\n" + text.prompt;
      return text;
    };
    return draw_items(context.config, search, units, draw_with_example, count, kPrefixStart);
  }

 private:
  struct Draws {
    PythonRandom python;
    NumpyRandomState numpy;
  };

  static std::string name_of(Draws& draws, size_t letters) {
    std::string name;
    for (const size_t letter : draws.python.choices(26, letters)) name += static_cast<char>('A' + letter);
    return name;
  }
  static std::string value_of(Draws& draws) { return std::to_string(draws.numpy.randint(10000, 99999)); }

  static int64_t upper_of(int64_t step, int64_t length, const RulerDraw& draw, const TokenCount& count) {
    const double per_unit = static_cast<double>(count(draw(step).prompt)) / static_cast<double>(step);
    return std::max(static_cast<int64_t>(static_cast<double>(length) / per_unit * 3), step * 2);
  }

  static RulerText draw_text(Draws& draws, int64_t units, bool is_example) {
    const size_t letters = is_example ? 3 : 5;
    std::vector<std::string> names;
    for (size_t i = 0; i <= kHops; ++i) names.push_back(name_of(draws, letters));
    // Where two names are equal the reference adds names and then fails on the chain that they begin.
    const size_t wanted = names.size();
    while (std::set<std::string>(names.begin(), names.end()).size() < wanted)
      names.push_back(name_of(draws, letters));
    std::string value = is_example ? kExampleValue : value_of(draws);
    if (names.size() > wanted) {
      if (!is_example) value_of(draws);
      return {"", {}, false};
    }
    std::vector<std::string> chain = {"VAR " + names[0] + " = " + value};
    for (size_t i = 0; i < kHops; ++i) chain.push_back("VAR " + names[i + 1] + " = VAR " + names[i] + " ");
    if (static_cast<size_t>(units) < chain.size()) return {"", {}, false};
    std::vector<std::string> lines(static_cast<size_t>(units), kRulerNoise);
    auto places = draws.python.sample(lines.size(), chain.size());
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < chain.size(); ++i)
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(places[i] + i), chain[i]);
    const std::string context = replace_all(join(lines, "\n"), ". \n", ".\n");
    return {fill(kTemplate, {{"context", context}, {"query", value}, {"num_v", std::to_string(wanted)}}),
            names};
  }

  static std::string make_example(Draws& draws, const TokenCount& count) {
    const auto draw = [&](int64_t units) { return draw_text(draws, units, true); };
    RulerSearch search{kExampleLength, 0, 0, kExampleStep, 0};
    search.upper = upper_of(kExampleStep, kExampleLength, draw, count);
    const int64_t units = fit_units(search, draw, count);
    int64_t length = 0;
    const RulerText text = draw_fitting(search, units, draw, count, length);
    return text.prompt + " " + join(text.outputs, " ") + "\n";
  }

  // New names and a new value for the worked example of each sample.
  static std::string renamed(Draws& draws, std::string example) {
    std::vector<std::string> words;
    for (const auto line : split(trim(example), '\n'))
      for (const auto word : split(line, ' '))
        if (!word.empty()) words.emplace_back(word);
    for (size_t i = words.size() - kHops - 1; i < words.size(); ++i)
      example = replace_all(example, words[i], name_of(draws, words[i].size()));
    return replace_all(example, kExampleValue, value_of(draws));
  }
};

}  // namespace

std::unique_ptr<EvalTask> make_variable_tracking(int64_t length) {
  return std::make_unique<VariableTracking>(length);
}

}  // namespace retrace::eval
