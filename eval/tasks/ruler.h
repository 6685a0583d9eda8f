// What RULER's generators share (flavour ruler/nvidia): the words, the search for the number of units that
// fills a length, drawing samples until they fit, and the score. Prompts equal those of the reference
// generator byte for byte when its word lists and tokenizer are given; the essay haystack needs Punkt's
// sentence borders for that, which are replaced by a plain rule here (needles may stand a sentence earlier or
// later).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/task.h"
#include "eval/tasks/python_random.h"

namespace retrace::eval {

// A drawn prompt with its answers; not ok where the reference raises an exception.
struct RulerText {
  std::string prompt;
  std::vector<std::string> outputs;
  bool ok = true;
};

struct RulerSearch {
  int64_t length, gen_tokens, extra_tokens = 0;  // extra: counted while searching (a worked example)
  int64_t step;                                  // smallest number of units, and what a retry takes off
  int64_t upper;                                 // of the search
};

using RulerDraw = std::function<RulerText(int64_t units)>;
using TokenCount = std::function<int64_t(const std::string&)>;

class RulerTask : public EvalTask {
 public:
  const TaskSpec& spec() const override { return spec_; }
  std::vector<Score> score(const Item& item, const std::vector<Answer>& answers,
                           const Sandbox* sandbox) const override;

 protected:
  RulerTask(const std::string& name, int64_t length);
  // eval.ruler_samples (or eval.limit) items; `prefix_start` are the first characters of the answer prefix.
  Prepared draw_items(const EvalConfig& config, const RulerSearch& search, int64_t units,
                      const RulerDraw& draw, const TokenCount& count, const std::string& prefix_start) const;
  TaskSpec spec_;
  int64_t length_;
};

// Largest number of units whose drawn text fits (binary search; every probe draws afresh), else the step.
int64_t fit_units(const RulerSearch& search, const RulerDraw& draw, const TokenCount& count);
// Draws until the text fits, with `step` units less after each failure. Error{recipe} if the smallest never
// fits.
RulerText draw_fitting(const RulerSearch& search, int64_t units, const RulerDraw& draw,
                       const TokenCount& count, int64_t& length);

std::string fill(std::string text,
                 const std::vector<std::pair<std::string, std::string>>& values);  // "{name}" -> value

// The word lists of package wonderwords.
std::filesystem::path words_folder(const EvalConfig& config);
std::vector<std::filesystem::path> word_files(const EvalConfig& config,
                                              const std::vector<std::string>& lists);
std::vector<std::string> read_words(const std::filesystem::path& file);

// The sorted set of "adjective-noun" over two lists, by index, without building its millions of strings.
class WordPairs {
 public:
  WordPairs(std::vector<std::string> adjectives, std::vector<std::string> nouns);
  size_t size() const { return size_; }
  std::string at(size_t index) const;

 private:
  // Adjectives whose "adjective-" begins alike interleave; such a group is written out.
  struct Group {
    size_t first;
    std::string adjective;
    std::vector<std::string> pairs;  // empty for a single adjective
  };
  std::vector<Group> groups_;
  std::vector<std::string> nouns_;
  size_t size_ = 0;
};

std::vector<std::string> split_sentences(const std::string& text);  // joined by a space they are the text

inline constexpr const char* kRulerNoise =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

}  // namespace retrace::eval
