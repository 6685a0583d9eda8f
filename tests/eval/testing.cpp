#include "tests/eval/testing.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdlib>

#include "core/recipe/run_config.h"
#include "core/sandbox/config.h"
#include "eval/config.h"

namespace retrace::eval::testing {

fs::path data_folder() {
  const char* named = std::getenv("RETRACE_TEST_DATA");
  return named && *named ? fs::path(named) : fs::path(RETRACE_SOURCE_DIR) / ".." / "shared" / "data";
}

void need(const std::string& relative) {
  if (!fs::exists(data_folder() / relative)) SKIP("there is no " << (data_folder() / relative).string());
}

std::vector<data::TokenId> ToyTokenizer::encode(std::string_view bytes) const {
  std::vector<data::TokenId> out;
  const std::lock_guard lock(mutex_);
  for (const auto& match : pattern_.find_all(bytes)) {
    const auto [at, is_new] = ids_.emplace(match[0], static_cast<data::TokenId>(words_.size()));
    if (is_new) words_.push_back(match[0]);
    out.push_back(at->second);
  }
  return out;
}

std::string ToyTokenizer::decode(const std::vector<data::TokenId>& ids, bool) const {
  std::string out;
  const std::lock_guard lock(mutex_);
  for (const auto id : ids) out += words_.at(static_cast<size_t>(id));
  return out;
}

std::vector<data::TokenId> ByteTokenizer::encode(std::string_view bytes) const {
  std::vector<data::TokenId> out;
  for (const char c : bytes) out.push_back(static_cast<unsigned char>(c));
  return out;
}

std::string ByteTokenizer::decode(const std::vector<data::TokenId>& ids, bool skip_special) const {
  std::string out;
  for (const auto id : ids) {
    if (id < 256)
      out += static_cast<char>(id);
    else if (!skip_special)
      out += id == 256 ? "<s>" : "</s>";
  }
  return out;
}

std::optional<data::TokenId> ByteTokenizer::special(std::string_view name) const {
  if (name == "<s>") return 256;
  if (name == "</s>") return 257;
  return std::nullopt;
}

SayingEngine::SayingEngine(std::function<std::string(const std::string&)> say, int64_t max_length)
    : say_(std::move(say)) {
  config_.vocab_size = 258;
  config_.max_position_embeddings = max_length;
  config_.eos_token_ids = {257};
}

std::vector<float> SayingEngine::logprobs(const std::vector<int32_t>& ids, int64_t from) {
  ++asked;
  windows.push_back(ids);
  return std::vector<float>(ids.size() - static_cast<size_t>(from), -std::log(258.0f));
}

std::vector<std::vector<float>> SayingEngine::logprobs_after(
    const std::vector<int32_t>&, const std::vector<std::vector<int32_t>>& continuations) {
  std::vector<std::vector<float>> out;
  for (const auto& ids : continuations) out.emplace_back(ids.size(), -std::log(258.0f));
  return out;
}

std::vector<int32_t> SayingEngine::generate(const std::vector<int32_t>& prompt,
                                            const model::GenerateOptions& options) {
  ++asked;
  last_prompt = prompt;
  const ByteTokenizer tokenizer;
  std::vector<int32_t> out;
  for (const auto id : tokenizer.encode(say_(tokenizer.decode(prompt, true)))) {
    if (static_cast<int64_t>(out.size()) == options.max_tokens) break;
    out.push_back(id);
    if (options.should_stop && options.should_stop(out)) break;
  }
  return out;
}

const Schema& eval_schema() {
  static const Schema schema = Schema::of<RunConfig, EvalConfig, SandboxConfig, DebugConfig>();
  return schema;
}

Recipe eval_recipe(const std::vector<std::pair<std::string, std::string>>& settings) {
  Recipe recipe(eval_schema());
  for (const auto& [key, value] : settings) recipe.set({key, value});
  return recipe;
}

}  // namespace retrace::eval::testing
