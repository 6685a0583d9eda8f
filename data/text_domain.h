// Plain text as a domain of the mixture: a folder of text files, or a JSONL(.zst) file of {"text"} objects,
// tokenised and packed as ProLong packs short texts (documents concatenated, what is cut starts the next
// sample) into an MDS data set.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/json.h"
#include "data/config.h"

namespace retrace::data {

struct TextDomainJob {
  std::string name;
  std::filesystem::path source, out;
  std::shared_ptr<const Tokenizer> tokenizer;
  int threads = 0;  // that tokenise; 0 = one a core. The bytes do not depend on it
};

// Writes `out` (index.json, shards, pack.json) and, last, done.json; called again with the same source,
// tokenizer and settings it returns pack.json at once. Same inputs give the same bytes. Files that are not
// UTF-8 or empty are counted as dropped. Error{input} if the source is missing or gives no sample, or, with
// its line, for a JSONL line that has no text.
Json pack_text_domain(const DataConfig& config, const TextDomainJob& job);

}  // namespace retrace::data
