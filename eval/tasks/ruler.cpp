#include "eval/tasks/ruler.h"

#include <algorithm>

#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/text.h"
#include "data/benchmarks/benchmark_files.h"

namespace retrace::eval {
namespace {

constexpr int kMaxTriesAtSmallest = 100;  // the reference tries for ever
constexpr const char* kWordsHint =
    "scripts/fetch-ruler-words fetches the lists, or set eval.ruler_words to a folder with nounlist.txt, "
    "adjectivelist.txt and verblist.txt of package wonderwords";

// Strip, replace control characters by newlines, strip: the reference's clean-up of an answer.
std::string clean(const std::string& text) {
  std::string out(trim(text));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20) c = '\n';
  return std::string(trim(out));
}

std::vector<std::string> sorted_set(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

}  // namespace

RulerTask::RulerTask(const std::string& name, int64_t length) : length_(length) {
  if (length < 64)
    throw Error(Code::recipe, fmt::format("RULER length {} is too small", length), "", "eval.lengths");
  spec_.name = name;
  spec_.flavour = "ruler/nvidia";
  spec_.metrics = {{std::to_string(length), "mean", true}};
}

// string_match_all: the share of references that occur in the answer, case-insensitive.
std::vector<Score> RulerTask::score(const Item& item, const std::vector<Answer>& answers,
                                    const Sandbox*) const {
  Score score;
  double sum = 0;
  const auto outputs = get<std::vector<std::string>>(item.doc, "outputs", "RULER item");
  for (const auto& answer : answers) {
    const std::string text = clean(answer.text), lower = to_lower(text);
    int hits = 0;
    for (const auto& output : outputs) hits += lower.find(to_lower(output)) != std::string::npos ? 1 : 0;
    sum += static_cast<double>(hits) / static_cast<double>(outputs.size());
    score.parsed = score.parsed && !text.empty();
    score.filtered.push_back(text);
  }
  score.values = {{spec_.metrics[0].name, sum / static_cast<double>(answers.size())}};
  return {score};
}

Prepared RulerTask::draw_items(const EvalConfig& config, const RulerSearch& search, int64_t units,
                               const RulerDraw& draw, const TokenCount& count,
                               const std::string& prefix_start) const {
  Prepared prepared;
  prepared.original = config.ruler_samples;
  const int64_t samples =
      config.limit > 0 ? std::min(config.ruler_samples, config.limit) : config.ruler_samples;
  for (int64_t i = 0; i < samples; ++i) {
    int64_t tokens = 0;
    const RulerText text = draw_fitting(search, units, draw, count, tokens);
    const size_t prefix = text.prompt.rfind(prefix_start);
    ensure(prefix != std::string::npos, "a RULER prompt with its answer prefix");
    Item item;
    item.doc_id = i;
    item.prompt = text.prompt;
    item.target = to_text(text.outputs);
    item.doc = {{"index", i},
                {"outputs", text.outputs},
                {"length", tokens},
                {"max_length", length_},
                {"answer_prefix", text.prompt.substr(prefix)}};
    prepared.items.push_back(std::move(item));
  }
  return prepared;
}

int64_t fit_units(const RulerSearch& search, const RulerDraw& draw, const TokenCount& count) {
  int64_t low = search.step, high = search.upper, best = -1;
  while (low <= high) {
    const int64_t middle = (low + high) / 2;
    const RulerText text = draw(middle);
    if (text.ok && count(text.prompt) + search.extra_tokens + search.gen_tokens <= search.length) {
      best = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return best < 0 ? search.step : best;
}

RulerText draw_fitting(const RulerSearch& search, int64_t units, const RulerDraw& draw,
                       const TokenCount& count, int64_t& length) {
  for (int tries = 0; tries < kMaxTriesAtSmallest;) {
    RulerText text = draw(units);
    if (text.ok) {
      length = count(text.prompt) + search.gen_tokens;
      if (length <= search.length) return text;
    }
    if (units > search.step)
      units -= search.step;
    else
      ++tries;
  }
  throw Error(Code::recipe, fmt::format("a RULER prompt does not fit into {} tokens", search.length),
              "choose a greater length", "eval.lengths");
}

std::string fill(std::string text, const std::vector<std::pair<std::string, std::string>>& values) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    bool matched = false;
    for (const auto& [name, value] : values) {
      const std::string mark = "{" + name + "}";
      if (text.compare(i, mark.size(), mark) != 0) continue;
      out += value;
      i += mark.size();
      matched = true;
      break;
    }
    if (!matched) out += text[i++];
  }
  return out;
}

fs::path words_folder(const EvalConfig& config) {
  if (!config.ruler_words.empty()) return resolve_path(config.ruler_words);
  return data::find_data(config.data_dir, "ruler", {"nounlist.txt"}, kWordsHint).parent_path();
}

std::vector<fs::path> word_files(const EvalConfig& config, const std::vector<std::string>& lists) {
  const fs::path folder = words_folder(config);
  std::vector<fs::path> files;
  for (const auto& list : lists) {
    files.push_back(folder / (list + "list.txt"));
    if (!fs::exists(files.back()))
      throw Error(Code::input, "no word list " + files.back().string(), kWordsHint, "eval.ruler_words");
  }
  return files;
}

std::vector<std::string> read_words(const fs::path& file) {
  std::vector<std::string> words;
  const std::string text = read_file(file, 16 << 20);
  for (auto line : split_lines(text)) {
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
      line.remove_suffix(1);
    words.emplace_back(line);
  }
  if (words.empty()) throw Error(Code::corrupt, "an empty word list", kWordsHint, file.string());
  return words;
}

WordPairs::WordPairs(std::vector<std::string> adjectives, std::vector<std::string> nouns)
    : nouns_(sorted_set(std::move(nouns))) {
  for (auto& adjective : adjectives) adjective += '-';
  adjectives = sorted_set(std::move(adjectives));
  for (size_t i = 0; i < adjectives.size();) {
    size_t end = i + 1;
    while (end < adjectives.size() && adjectives[end].starts_with(adjectives[i])) ++end;
    Group group{size_, adjectives[i], {}};
    if (end - i > 1) {
      for (size_t a = i; a < end; ++a)
        for (const auto& noun : nouns_) group.pairs.push_back(adjectives[a] + noun);
      group.pairs = sorted_set(std::move(group.pairs));
    }
    size_ += group.pairs.empty() ? nouns_.size() : group.pairs.size();
    groups_.push_back(std::move(group));
    i = end;
  }
}

std::string WordPairs::at(size_t index) const {
  ensure(index < size_, "an index of a word pair");
  const auto after = std::upper_bound(groups_.begin(), groups_.end(), index,
                                      [](size_t i, const Group& group) { return i < group.first; });
  const Group& group = *(after - 1);
  const size_t place = index - group.first;
  return group.pairs.empty() ? group.adjective + nouns_[place] : group.pairs[place];
}

// A sentence ends at . ! or ?, with closing marks, before a space and something that can begin one.
std::vector<std::string> split_sentences(const std::string& text) {
  constexpr std::string_view kEnders = ".!?", kClosers = "\"')]",
                             kAbbreviations[] = {"Mr", "Mrs", "Ms", "Dr", "vs", "e.g", "i.e", "etc", "St"};
  std::vector<std::string> sentences;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (kEnders.find(text[i]) == std::string_view::npos) continue;
    size_t end = i + 1;
    while (end < text.size() && (kEnders.find(text[end]) != std::string_view::npos ||
                                 kClosers.find(text[end]) != std::string_view::npos))
      ++end;
    if (end + 1 >= text.size() || text[end] != ' ') continue;
    const char next = text[end + 1];
    if (next >= 'a' && next <= 'z') continue;
    const size_t word = text.rfind(' ', i) == std::string::npos || text.rfind(' ', i) < start
                            ? start
                            : text.rfind(' ', i) + 1;
    const std::string_view last = std::string_view(text).substr(word, i - word);
    const bool initial = last.size() == 1 && last[0] >= 'A' && last[0] <= 'Z' && last[0] != 'I';
    if (text[i] == '.' && (initial || std::find(std::begin(kAbbreviations), std::end(kAbbreviations), last) !=
                                          std::end(kAbbreviations)))
      continue;
    sentences.push_back(text.substr(start, end - start));
    start = end + 1;
    i = end;
  }
  if (start < text.size()) sentences.push_back(text.substr(start));
  return sentences;
}

}  // namespace retrace::eval
