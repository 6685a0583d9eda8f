// RULER's needle in a haystack with one key, one value and one question: noise lines (niah_single_1) or
// essays (2, 3).
#include <algorithm>
#include <cmath>

#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/text.h"
#include "data/benchmarks/benchmark_files.h"
#include "eval/tasks/registry.h"
#include "eval/tasks/ruler.h"

namespace retrace::eval {
namespace {

// The reference's template after its rewriting to the singular.
constexpr const char* kTemplate =
    "A special magic {type} is hidden within the following text. Make sure to memorize it. I will quiz you "
    "about the "
    "{type} afterwards.\n{context}\nWhat is the special magic {type} for {query} mentioned in the provided "
    "text? The "
    "special magic {type} for {query} mentioned in the provided text is";
constexpr const char* kNeedle = "One of the special magic {types} for {key} is: {value}.";
constexpr const char* kPrefixStart = " The speci";
constexpr int kDepths = 40;

std::string uuid4(const std::vector<uint32_t>& words) {
  const uint32_t w0 = words[3], w1 = (words[2] & 0xffff0fffu) | 0x4000u,
                 w2 = (words[1] & 0x3fffffffu) | 0x80000000u;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:04x}{:08x}", w0, w1 >> 16, w1 & 0xffffu, w2 >> 16,
                     w2 & 0xffffu, words[0]);
}

// Words of the essays, white space squeezed.
std::vector<std::string> essay_words(const fs::path& path) {
  std::string text = read_file(path, 256 << 20);
  if (path.extension() == ".json")
    text = get<std::string>(parse_json(text, path.string()), "text", path.string());
  for (char& c : text)
    if (c == '\n' || c == '\t' || c == '\r' || c == '\v' || c == '\f') c = ' ';
  std::vector<std::string> words;
  for (const auto word : split(trim(text), ' '))
    if (!word.empty()) words.emplace_back(word);
  if (words.empty()) throw Error(Code::input, "no words in the essays", "", path.string());
  return words;
}

class Niah : public RulerTask {
 public:
  Niah(const std::string& name, int64_t length)
      : RulerTask(name, length), essays_(name != "niah_single_1"), uuids_(name == "niah_single_3") {
    spec_.max_gen_tokens = 128;
    spec_.prompt_template = fmt::format("{}\n{}", kTemplate, kNeedle);
    if (essays_) spec_.flavour += ", rule-based sentences";
  }

  std::vector<fs::path> inputs(const EvalConfig& config) const override {
    auto files = word_files(config, {"noun", "adjective"});
    if (essays_) {
      if (config.ruler_essays.empty())
        throw Error(Code::input, spec_.name + " needs the essays of its haystack",
                    "set eval.ruler_essays to a text file, or take niah_single_1, whose haystack is noise",
                    "eval.ruler_essays");
      files.push_back(resolve_path(config.ruler_essays));
    }
    return files;
  }

  Prepared prepare(const PrepareContext& context) override {
    const auto files = inputs(context.config);
    const WordPairs pairs(read_words(files[1]), read_words(files[0]));
    if (essays_) essay_ = essay_words(files[2]);
    PythonRandom random(context.config.seed);
    const auto draw = [&](int64_t units) { return draw_text(random, pairs, units); };
    const auto count = [&](const std::string& text) {
      return static_cast<int64_t>(context.tokenizer->encode(text).size());
    };
    RulerSearch search{length_, spec_.max_gen_tokens, 0, essays_ ? 500 : length_ < 4096 ? 5 : 25, 0};
    const double per_unit =
        static_cast<double>(count(draw(search.step).prompt)) / static_cast<double>(search.step);
    search.upper =
        std::max(static_cast<int64_t>(static_cast<double>(length_) / per_unit * 3), search.step * 2);
    const int64_t units = fit_units(search, draw, count);
    return draw_items(context.config, search, units, draw, count, kPrefixStart);
  }

 private:
  RulerText draw_text(PythonRandom& random, const WordPairs& pairs, int64_t units) const {
    const std::string key = pairs.at(random.below(pairs.size()));
    const std::string value =
        uuids_ ? uuid4(random.bits128()) : std::to_string(random.randint(1'000'000, 9'999'999));
    const std::string type = uuids_ ? "uuid" : "number";
    const std::string needle = fill(kNeedle, {{"types", type + "s"}, {"key", key}, {"value", value}});
    const std::string context = essays_ ? in_essay(random, needle, units) : in_noise(random, needle, units);
    random.sample(1, 1);  // which of the one key is asked for
    return {fill(kTemplate, {{"type", type}, {"context", context}, {"query", key}}), {value}};
  }

  static std::string in_noise(PythonRandom& random, const std::string& needle, int64_t units) {
    std::vector<std::string> lines(static_cast<size_t>(units), kRulerNoise);
    const size_t place = random.sample(lines.size(), 1)[0];
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(place), needle);
    return join(lines, "\n");
  }

  std::string in_essay(PythonRandom& random, const std::string& needle, int64_t units) const {
    std::string text;
    for (size_t i = 0; i < static_cast<size_t>(units); ++i) {
      if (i > 0) text += ' ';
      text += essay_[i % essay_.size()];
    }
    auto sentences = split_sentences(text);
    const double depth =
        std::nearbyint(100.0 * static_cast<double>(random.sample(kDepths, 1)[0]) / (kDepths - 1));
    const auto place = static_cast<std::ptrdiff_t>(static_cast<double>(sentences.size()) * (depth / 100));
    // Joined in three parts, as the reference does: an empty part still brings its space.
    const std::vector<std::string> before(sentences.begin(), sentences.begin() + place),
        after(sentences.begin() + place, sentences.end());
    return join({join(before, " "), needle, join(after, " ")}, " ");
  }

  bool essays_, uuids_;
  std::vector<std::string> essay_;
};

}  // namespace

std::unique_ptr<EvalTask> make_niah(const std::string& name, int64_t length) {
  return std::make_unique<Niah>(name, length);
}

}  // namespace retrace::eval
