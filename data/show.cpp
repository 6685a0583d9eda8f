#include "data/show.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "data/mds/mds.h"
#include "data/tokenizer/tokenizer.h"

namespace retrace::data {

namespace {

constexpr size_t kMaxSpansShown = 64;

std::string escaped(const std::string& text) {
  std::string out;
  for (unsigned char c : text) {  // control characters of the text must not drive the terminal
    if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7F)) {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("\\x{:02x}", c);
    }
  }
  return out;
}

void print_text(const Sample& sample, const Tokenizer& tokenizer, bool colour) {
  for (const auto& [begin, end] : sample.spans) {
    fmt::print("--- span [{}, {})\n", begin, end);
    for (uint32_t i = begin; i < end;) {
      const bool trained = sample.weights[i] > 0;
      uint32_t stop = i;
      while (stop < end && (sample.weights[stop] > 0) == trained) ++stop;
      const std::vector<TokenId> ids(sample.input_ids.begin() + i, sample.input_ids.begin() + stop);
      const bool padding = !trained && ids.size() > 1 &&
                           std::all_of(ids.begin(), ids.end(), [&](TokenId id) { return id == ids[0]; });
      const std::string text =
          padding ? fmt::format("({} x id {})", ids.size(), ids[0]) : escaped(tokenizer.decode(ids));
      if (trained) {
        fmt::print("{}{}{}", colour ? "\033[32m" : "", text, colour ? "\033[0m" : "");
      } else {
        fmt::print("{}{}{}", colour ? "\033[2m" : "[-", text, colour ? "\033[0m" : "-]");
      }
      i = stop;
    }
    fmt::print("\n");
  }
}

}  // namespace

bool show_shard(const std::filesystem::path& folder_or_index, const std::filesystem::path& tokenizer_or_empty,
                int64_t sample_index) {
  namespace fs = std::filesystem;
  const bool is_index = folder_or_index.filename() == "index.json" && fs::is_regular_file(folder_or_index);
  const fs::path folder = is_index ? folder_or_index.parent_path() : folder_or_index;
  if (!fs::is_directory(folder.empty() ? fs::path(".") : folder) || !fs::exists(folder / "index.json"))
    return false;
  const MdsReader reader(folder);
  fmt::print("MDS data set {}: {} samples in {} shards\n", folder.string(), reader.size(),
             reader.num_shards());
  if (reader.size() == 0) return true;
  const Sample sample = reader.read(sample_index);
  const auto labels =
      std::count_if(sample.weights.begin(), sample.weights.end(), [](float w) { return w > 0; });
  fmt::print("sample {}: domain '{}', {} tokens, {} spans, {} trained ({:.1f}%)\n", sample_index,
             sample.domain, sample.input_ids.size(), sample.spans.size(), labels,
             100.0 * static_cast<double>(labels) / static_cast<double>(sample.input_ids.size()));
  for (size_t s = 0; s < std::min(sample.spans.size(), kMaxSpansShown); ++s) {
    const auto [begin, end] = sample.spans[s];
    const auto trained = std::count_if(sample.weights.begin() + begin, sample.weights.begin() + end,
                                       [](float w) { return w > 0; });
    fmt::print("  span {:3}: [{}, {}) {} tokens, {} trained\n", s, begin, end, end - begin, trained);
  }
  if (sample.spans.size() > kMaxSpansShown)
    fmt::print("  ... {} spans more\n", sample.spans.size() - kMaxSpansShown);
  if (!tokenizer_or_empty.empty()) {
    const bool colour = isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR");
    print_text(sample, *load_tokenizer(tokenizer_or_empty), colour);
  }
  return true;
}

}  // namespace retrace::data
