// Streaming reader of HF's tokenizer.json: the two large members, model.vocab and model.merges, come out as
// lists, the rest as a small Json. Safe for strangers' files: bounded depth and counts, no duplicate keys.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"

namespace retrace::data {

struct HfTokenizerFile {
  Json rest;  // without model.vocab and model.merges
  std::vector<std::pair<std::string, int64_t>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;
  bool vocab_is_list = false;  // Unigram keeps its vocabulary as a list
};

// Error{corrupt} names the file and the byte offset.
HfTokenizerFile read_hf_tokenizer_file(const std::filesystem::path& path);

}  // namespace retrace::data
