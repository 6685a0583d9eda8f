// Packing documents into samples of exactly seq_len tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/document.h"
#include "data/mds/mds.h"

namespace retrace::data {

// Weights are those of the documents; the first token of each span gets 0, since nothing in its span predicts
// it. A document (or, when concatenating, a sample) without any label left is dropped and counted.
struct PackingStats {
  int64_t documents = 0, tokens = 0, padding_tokens = 0, samples = 0;
  int64_t dropped_too_long = 0, dropped_no_label = 0;
  std::vector<int64_t> tokens_by_kind = std::vector<int64_t>(kNumKinds, 0);
  std::vector<int64_t> trained_tokens_by_kind = std::vector<int64_t>(kNumKinds, 0);
};

// Whole documents of up to seq_len tokens, best fit decreasing within a window of documents, deterministic in
// input order; the rest of a sample is padding (its own span, id pad, weight 0). Longer documents are dropped
// and counted (synthesis splits what exceeds seq_len).
class WholeDocumentPacker {
 public:
  WholeDocumentPacker(int64_t seq_len, TokenId pad, std::string domain,
                      std::function<void(const Sample&)> emit, int64_t window = 4096);
  void add(const TokenisedDocument& document);
  PackingStats finish();

 private:
  struct Item {
    TokenisedDocument document;
    int64_t order;
  };
  void flush();
  int64_t seq_len_, window_;
  TokenId pad_;
  std::string domain_;
  std::function<void(const Sample&)> emit_;
  std::vector<Item> pending_;
  int64_t order_ = 0;
  PackingStats stats_;
};

// ProLong's packing for plain text: documents concatenated; what is cut starts the next sample as a document
// of its own.
class ConcatenatingPacker {
 public:
  ConcatenatingPacker(int64_t seq_len, TokenId pad, std::string domain,
                      std::function<void(const Sample&)> emit);
  void add(const TokenisedDocument& document);
  PackingStats finish();

 private:
  void emit_full();
  int64_t seq_len_;
  TokenId pad_;
  Sample current_;
  std::function<void(const Sample&)> emit_;
  PackingStats stats_;
};

// Any sample at exactly seq_len tokens, for foreign data: a longer one is cut (spans with it), a shorter one
// padded.
Sample fit_to_length(Sample sample, int64_t seq_len, TokenId pad);

}  // namespace retrace::data
