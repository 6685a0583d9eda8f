// Writes a byte-level BPE vocabulary as an HF tokenizer folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer/bpe.h"

namespace retrace::data {

struct HfVocabulary {
  std::vector<std::string> tokens;  // bytes by id
  std::vector<Merge> merges;
  std::vector<std::string> special;  // become the ids after the tokens, in order
};

// tokenizer.json (Llama-3's pre-tokenizer, BOS put in front by HF's post-processor if there is one),
// tokenizer_config.json and special_tokens_map.json. Roles go to special tokens with the usual names.
void write_hf_tokenizer(const HfVocabulary& vocabulary, const std::filesystem::path& folder);

}  // namespace retrace::data
