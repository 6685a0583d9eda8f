// Rolling windows against lm-eval's definition, and scores of texts with an engine whose answers are known.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <numbers>

#include "core/files/files.h"
#include "data/tokenizer/tokenizer.h"
#include "model/engine/rolling.h"
#include "model/engine/scoring.h"
#include "tests/model/files_testing.h"

namespace retrace::model::testing {

namespace {

// A "model" whose log-probability of an id depends on the id and on how many ids it reads before it.
class CountingEngine : public Engine {
 public:
  explicit CountingEngine(int64_t vocab_size) { config_.vocab_size = vocab_size; }
  const LlamaConfig& config() const override { return config_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::vector<float> logprobs(const std::vector<int32_t>& ids, int64_t from) override {
    longest = std::max(longest, static_cast<int64_t>(ids.size()) - 1);
    std::vector<float> values;
    for (size_t i = static_cast<size_t>(from); i < ids.size(); ++i)
      values.push_back(-static_cast<float>(ids[i]) - static_cast<float>(i) / 1024);
    return values;
  }
  std::vector<std::vector<float>> logprobs_after(const std::vector<int32_t>&,
                                                 const std::vector<std::vector<int32_t>>&) override {
    return {};
  }
  std::vector<int32_t> generate(const std::vector<int32_t>&, const GenerateOptions&) override { return {}; }
  int64_t tokens_computed() const override { return 0; }
  int64_t longest = 0;

 private:
  LlamaConfig config_;
  std::string fingerprint_ = "counting";
};

// lm-eval's get_rolling_token_windows with context_len = 1, as its documentation states it.
std::vector<RollingWindow> lm_eval_windows(int64_t num_predicted, int64_t window) {
  std::vector<RollingWindow> windows;
  if (num_predicted == 0) return windows;
  int64_t predicted = std::min(window, num_predicted);
  windows.push_back({0, 1, 1 + predicted});
  while (predicted < num_predicted) {
    const int64_t length = std::min(num_predicted - predicted, window), end = predicted + length;
    windows.push_back({end - window, 1 + end - length, 1 + end});
    predicted += length;
  }
  return windows;
}

}  // namespace

TEST_CASE("rolling: windows are lm-eval's", "[unit]") {
  for (int64_t window = 1; window < 9; ++window)
    for (int64_t ids = 0; ids < 40; ++ids) {
      const auto ours = rolling_windows(ids, window),
                 theirs = lm_eval_windows(std::max<int64_t>(ids - 1, 0), window);
      REQUIRE(ours.size() == theirs.size());
      for (size_t i = 0; i < ours.size(); ++i) {
        REQUIRE(ours[i].begin == theirs[i].begin);
        REQUIRE(ours[i].from == theirs[i].from);
        REQUIRE(ours[i].end == theirs[i].end);
        REQUIRE(ours[i].end - 1 - ours[i].begin <= window);
        REQUIRE(ours[i].from > ours[i].begin);
      }
    }
  REQUIRE(error_of([] { rolling_windows(5, 0); }).code() == Code::usage);
}

TEST_CASE("rolling: every token is predicted once, with at least one before it", "[unit]") {
  CountingEngine engine(1000);
  std::vector<int32_t> ids(100);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  const std::vector<float> values = rolling_logprobs(engine, ids, 16);
  REQUIRE(engine.longest == 16);
  REQUIRE(values.size() == 99);
  for (size_t i = 0; i < values.size(); ++i)
    REQUIRE(std::floor(-values[i]) == static_cast<float>(ids[i + 1]));
  REQUIRE(values[15] == -16.0f - 16.0f / 1024);  // the last of the first window has read 16
  REQUIRE(values[16] == -17.0f - 1.0f / 1024);   // the first of the second has read one
  REQUIRE(values[98] == -99.0f - 16.0f / 1024);  // the last window is full
}

TEST_CASE("scoring: what is counted with BOS and without", "[unit]") {
  TempFolder folder;
  const std::string text = "int main() { return 0; }\n";
  for (const bool with_bos : {true, false}) {
    const fs::path home = folder / (with_bos ? "bos" : "plain");
    std::vector<std::string> special = {"<|end_of_text|>"};
    if (with_bos) special.push_back("<|begin_of_text|>");
    data::train_byte_bpe({text, text}, 270, special, home);
    const auto tokenizer = data::load_tokenizer(home);
    REQUIRE(tokenizer->bos().has_value() == with_bos);
    const auto ids = tokenizer->encode(text);
    CountingEngine engine(tokenizer->vocab_size());
    const TextScore score = score_text(engine, *tokenizer, text, 0);
    REQUIRE(score.logprobs.size() == ids.size() - (with_bos ? 0 : 1));
    REQUIRE(score.ids.size() == score.logprobs.size() + 1);
    REQUIRE(score.scored_bytes == text.size() - (with_bos ? 0 : tokenizer->decode({ids[0]}).size()));
    double nll = 0;
    for (const float value : score.logprobs) nll -= value;
    REQUIRE(std::abs(score.nll - nll) < 1e-9);
    REQUIRE(std::abs(score.bits_per_byte() -
                     nll / std::numbers::ln2 / static_cast<double>(score.scored_bytes)) < 1e-9);
    const Json json = to_json(score, true);
    REQUIRE(json["logprobs"].size() == json["ids"].size());
    REQUIRE(json["logprobs"][0].is_null());
    REQUIRE(json["tokens"] == score.logprobs.size());
    REQUIRE_FALSE(to_json(score, false).contains("ids"));

    const TextScore nothing = score_text(engine, *tokenizer, "", 0);
    REQUIRE(nothing.logprobs.empty());
    REQUIRE(to_text(to_json(nothing, false)) ==
            R"({"tokens":0,"nll":0.0,"ppl":null,"bits_per_byte":null,"scored_bytes":0})");
    CountingEngine small(10);
    REQUIRE(error_of([&] { score_text(small, *tokenizer, text, 0); }).code() == Code::input);
  }
}

}  // namespace retrace::model::testing
