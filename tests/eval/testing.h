// What the tests of eval share: temp folders, public data files, tokenizers of one rule, an engine that says
// what it is told.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/recipe/recipe.h"
#include "data/tokenizer/tokenizer.h"
#include "eval/scoring/pattern.h"
#include "model/engine/engine.h"
#include "tests/shared.h"

namespace retrace::eval::testing {

namespace fs = std::filesystem;

using tests::error_of;
using tests::TempFolder;

fs::path data_folder();                  // RETRACE_TEST_DATA or ../shared/data; may be absent
void need(const std::string& relative);  // skips the test, naming the file, if it is not in data_folder()

// Words, single signs and single blanks, as the goldens of RULER were made with; ids in order of appearance.
class ToyTokenizer : public data::Tokenizer {
 public:
  std::vector<data::TokenId> encode(std::string_view bytes) const override;
  std::string decode(const std::vector<data::TokenId>& ids, bool skip_special) const override;
  int64_t vocab_size() const override { return 1 << 20; }
  std::optional<data::TokenId> special(std::string_view) const override { return std::nullopt; }
  std::optional<data::TokenId> bos() const override { return std::nullopt; }
  std::optional<data::TokenId> eos() const override { return std::nullopt; }
  const std::string& fingerprint() const override { return name_; }

 private:
  Pattern pattern_{R"(\w+|[^\w\s]|\s)"};
  mutable std::mutex mutex_;
  mutable std::map<std::string, data::TokenId> ids_;
  mutable std::vector<std::string> words_;
  std::string name_ = "toy";
};

// A token a byte; 256 = <s>, 257 = </s>.
class ByteTokenizer : public data::Tokenizer {
 public:
  explicit ByteTokenizer(bool has_bos = true) : has_bos_(has_bos) {}
  std::vector<data::TokenId> encode(std::string_view bytes) const override;
  std::string decode(const std::vector<data::TokenId>& ids, bool skip_special) const override;
  int64_t vocab_size() const override { return 258; }
  std::optional<data::TokenId> special(std::string_view name) const override;
  std::optional<data::TokenId> bos() const override {
    return has_bos_ ? std::optional<int32_t>(256) : std::nullopt;
  }
  std::optional<data::TokenId> eos() const override { return 257; }
  const std::string& fingerprint() const override { return name_; }

 private:
  bool has_bos_;
  std::string name_ = "bytes";
};

// Answers a prompt with the text that `say` gives for it, then EOS, one byte a token; every token has the
// same probability.
class SayingEngine : public model::Engine {
 public:
  explicit SayingEngine(std::function<std::string(const std::string&)> say, int64_t max_length = 1 << 20);
  const model::LlamaConfig& config() const override { return config_; }
  const std::string& fingerprint() const override { return name; }
  std::vector<float> logprobs(const std::vector<int32_t>& ids, int64_t from) override;
  std::vector<std::vector<float>> logprobs_after(
      const std::vector<int32_t>& prefix, const std::vector<std::vector<int32_t>>& continuations) override;
  std::vector<int32_t> generate(const std::vector<int32_t>& prompt,
                                const model::GenerateOptions& options) override;
  int64_t tokens_computed() const override { return 0; }

  std::string name = "sayer";
  int64_t asked = 0;  // calls of generate and logprobs
  std::vector<int32_t> last_prompt;
  std::vector<std::vector<int32_t>> windows;  // what logprobs was asked for

 private:
  std::function<std::string(const std::string&)> say_;
  model::LlamaConfig config_;
};

const Schema& eval_schema();
Recipe eval_recipe(const std::vector<std::pair<std::string, std::string>>& settings);

}  // namespace retrace::eval::testing
