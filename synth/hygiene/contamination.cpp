#include "synth/hygiene/contamination.h"

#include <memory>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/random.h"
#include "data/benchmarks/benchmark_files.h"
#include "synth/config.h"
#include "synth/shingles.h"

namespace retrace::synth {

namespace {

constexpr size_t kNgram = 12;
template <class Use>
bool each_ngram(std::string_view text, Use use) {
  return each_shingle(word_hashes(text, kProseWords), kNgram, use);
}

}  // namespace

Contamination Contamination::of(const std::vector<fs::path>& data_folders) {
  Contamination out;
  for (const data::Benchmark& benchmark : data::benchmarks()) {
    int64_t& n_tasks = out.tasks_[benchmark.name];
    const auto file = data::find_benchmark(data_folders, benchmark.name, benchmark.files);
    if (!file) continue;
    for (const Json& task : data::read_json_lines(*file)) {
      get<std::string>(task, benchmark.texts.front(), file->string());
      for (const char* field : benchmark.texts) out.add(get_or<std::string>(task, field, "", file->string()));
      ++n_tasks;
    }
  }
  return out;
}

Contamination contamination_of(const Recipe& recipe) {
  if (!recipe.get<HygieneConfig>().decontaminate) return {};
  return Contamination::of(data::benchmark_folders(std::get<std::string>(recipe.value("eval.data_dir"))));
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
