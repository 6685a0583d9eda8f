// Recipe section [hygiene]: which repositories and files are worth learning from. It decides what a stage
// takes, never the bytes of what it makes of a repository.
#pragma once

#include "core/fields.h"

namespace retrace::synth {

struct HygieneConfig {
  static constexpr const char* kSection = "hygiene";
  static constexpr const char* kAbout = "Duplicates, licences and benchmark contamination";
  std::string near_duplicates = "drop";
  double jaccard = 0.7;
  std::vector<std::string> licences = {};
  bool decontaminate = true;
  std::string duplicate_files = "keep";
  double file_jaccard = 0.85;
  int64_t duplicate_min_words = 50;
  static auto fields() {
    using H = HygieneConfig;
    return std::tuple{
        field("near_duplicates", &H::near_duplicates,
              "Repositories that nearly equal an earlier one (MinHash over 5-grams of words)")
            .choices({"drop", "keep"}),
        field("jaccard", &H::jaccard, "From this estimated similarity on they are near-duplicates")
            .range(0.5, 1),
        field("licences", &H::licences,
              "SPDX ids that are allowed, \"unknown\" among them where it is; empty = all, unknown too"),
        field("decontaminate", &H::decontaminate,
              "Leave out files and thoughts that share 12 words in a row with HumanEval or GSM8K, as far as "
              "eval.data_dir holds them"),
        field("duplicate_files", &H::duplicate_files,
              "Source files that stand in an earlier repository too: exact leaves out the later copies, near "
              "also what nearly equals one; keep leaves every repository whole")
            .choices({"keep", "exact", "near"}),
        field("file_jaccard", &H::file_jaccard, "From this estimated similarity on files are near-duplicates")
            .range(0.5, 1),
        field("duplicate_min_words", &H::duplicate_min_words,
              "Shorter source files are no duplicates, whatever they equal")
            .unit("words")
            .range(5, 1000000)};
  }
};

}  // namespace retrace::synth
