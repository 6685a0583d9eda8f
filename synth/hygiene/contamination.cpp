#include "synth/hygiene/contamination.h"

#include <zlib.h>

#include <memory>

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/random.h"
#include "synth/config.h"

namespace retrace::synth {

namespace {

constexpr size_t kNgram = 12;
constexpr size_t kMaxBytes = size_t{64} << 20;

struct Benchmark {
  const char* name;
  std::vector<const char*> files;  // the first that exists
  std::vector<const char*> texts;  // fields of a line; the first must be there
};

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all = {
      {"humaneval", {"HumanEval.jsonl.gz", "HumanEval.jsonl"}, {"prompt", "canonical_solution"}},
      {"gsm8k", {"test.jsonl"}, {"question", "answer"}}};
  return all;
}

// Letters and digits make words, also beyond ASCII; everything else separates them.
bool is_word(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

template <class Use>
void each_ngram(std::string_view text, Use use) {
  std::vector<uint64_t> words;
  std::string word;
  for (size_t at = 0; at <= text.size(); ++at) {
    const unsigned char c = at < text.size() ? static_cast<unsigned char>(text[at]) : ' ';
    if (is_word(c)) {
      word += static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    } else if (!word.empty()) {
      words.push_back(xxh3_64(word));
      word.clear();
    }
  }
  for (size_t i = 0; i + kNgram <= words.size(); ++i) {
    uint64_t ngram = 0;
    for (size_t k = 0; k < kNgram; ++k) ngram = mix64(ngram ^ words[i + k]);
    if (!use(ngram)) return;
  }
}

// Plain or gzip, whole.
std::string read_unpacked(const fs::path& file) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> stream(gzopen(file.c_str(), "rb"), gzclose);
  if (!stream) throw Error(Code::input, "cannot be read", "", file.string());
  std::string text(kMaxBytes, '\0');
  const int size = gzread(stream.get(), text.data(), static_cast<unsigned>(text.size()));
  if (size < 0 || static_cast<size_t>(size) == text.size())
    throw Error(Code::corrupt, "the benchmark file is damaged or too large", "fetch it again", file.string());
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace

Contamination Contamination::of(const std::vector<fs::path>& data_folders) {
  Contamination out;
  for (const Benchmark& benchmark : benchmarks()) {
    int64_t& n_tasks = out.tasks_[benchmark.name];
    for (const fs::path& folder : data_folders)
      for (const char* name : benchmark.files) {
        const fs::path file = folder / benchmark.name / name;
        if (n_tasks > 0 || !fs::exists(file)) continue;
        const std::string text = read_unpacked(file), where = file.string();
        for (size_t begin = 0; begin < text.size();) {
          const size_t end = std::min(text.find('\n', begin), text.size());
          const std::string_view line = std::string_view(text).substr(begin, end - begin);
          begin = end + 1;
          if (line.empty()) continue;
          const Json task = parse_json(line, where);
          get<std::string>(task, benchmark.texts.front(), where);
          for (const char* field : benchmark.texts) out.add(get_or<std::string>(task, field, "", where));
          ++n_tasks;
        }
      }
  }
  return out;
}

Contamination contamination_of(const Recipe& recipe) {
  if (!recipe.get<HygieneConfig>().decontaminate) return {};
  std::vector<fs::path> folders;
  const auto data_dir = std::get<std::string>(recipe.value("eval.data_dir"));
  if (!data_dir.empty()) folders.push_back(resolve_path(data_dir));
  folders.push_back(resolve_path("deps:"));
  return Contamination::of(folders);
}

SnapshotOptions without_contamination(SnapshotOptions options, const Contamination* index) {
  if (index != nullptr)
    options.refuse = [index](const SourceFile& file) {
      return index->in(file.content) ? "contaminated" : "";
    };
  return options;
}

void Contamination::add(std::string_view text) {
  each_ngram(text, [&](uint64_t ngram) {
    ngrams_.insert(ngram);
    return true;
  });
}

bool Contamination::in(std::string_view text) const {
  bool found = false;
  if (!ngrams_.empty())
    each_ngram(text, [&](uint64_t ngram) {
      found = ngrams_.count(ngram) > 0;
      return !found;
    });
  return found;
}

std::string Contamination::digest() const {
  uint64_t sum = 0;
  for (const uint64_t ngram : ngrams_) sum += mix64(ngram);
  return fmt::format("{} {:016x}", ngrams_.size(), sum);
}

}  // namespace retrace::synth
