// Decoding of several texts at once over one runner: a text that ends makes room for the next. Every text has
// a cache of its own, and its tokens are those that it would get alone, bit for bit. A prompt that is decoded
// several times at once is computed once.
#pragma once

#include <deque>
#include <vector>

#include "model/engine/engine.h"
#include "model/engine/llama_runner.h"

namespace retrace::model {

class Decoder : public TextDecoder {
 public:
  // `chunk`: tokens of a prompt that run together; `rows`: texts decoded together, at most kFewRows. Between
  // steps the runner's own cache is its user's.
  Decoder(LlamaRunner& runner, int64_t chunk, int64_t rows) : runner_(runner), chunk_(chunk), rows_(rows) {}
  // Error{input} for a prompt that is empty or has ids outside of the vocabulary.
  void add(TextRequest text) override;
  bool step() override;

 private:
  struct Text {
    TextRequest request;
    std::vector<int32_t> made;
    TextCache cache;
    std::vector<float> first_logits;  // behind the prompt
  };
  void admit();
  void decode();
  void open(TextRequest request);
  std::vector<float> prefill(const std::vector<int32_t>& prompt, TextCache& cache);
  bool extend(Text& text, const float* logits, int64_t vocabulary) const;

  LlamaRunner& runner_;
  int64_t chunk_, rows_;
  std::deque<TextRequest> waiting_;
  std::vector<Text> texts_;
};

}  // namespace retrace::model
