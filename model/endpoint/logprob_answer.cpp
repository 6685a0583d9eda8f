#include "model/endpoint/logprob_answer.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/json.h"

namespace retrace::model {

namespace {

[[noreturn]] void broken(const std::string& why) {
  throw Error(Code::corrupt, why, "", "the scorer's answer");
}

float finite(const Json& value) {
  if (!value.is_number()) broken("a log-probability is no number");
  const double x = value.get<double>();
  if (!(std::abs(x) <= std::numeric_limits<float>::max())) broken("a log-probability is not finite");
  return static_cast<float>(x);
}

// {"id": {"logprob": x, ...}, ...}: the entry of the prompt's own token.
float own_entry(const Json& entry, data::TokenId id) {
  if (!entry.is_object()) broken("a prompt token has no log-probability");
  const auto found = entry.find(std::to_string(id));
  if (found == entry.end()) broken("a prompt token's log-probability is not among those given for its place");
  return finite(get<Json>(*found, "logprob", "prompt_logprobs"));
}

std::vector<float> read_vllm(const Json& answer, const std::vector<data::TokenId>& ids, size_t last) {
  const auto choices = get<Json>(answer, "choices", "answer");
  if (!choices.is_array() || choices.size() != 1) broken("there is not exactly one choice");
  if (!choices[0].contains("prompt_logprobs") || choices[0]["prompt_logprobs"].is_null())
    broken("the answer has no prompt_logprobs");
  const Json& entries = choices[0]["prompt_logprobs"];
  if (!entries.is_array() || entries.size() != ids.size())
    broken(fmt::format("{} prompt_logprobs for {} prompt tokens", entries.size(), ids.size()));
  if (!entries[0].is_null()) broken("the first token, which nothing precedes, has a log-probability");
  std::vector<float> out;
  for (size_t i = ids.size() - last; i < ids.size(); ++i) out.push_back(own_entry(entries[i], ids[i]));
  return out;
}

// [[logprob, id, text], ...] from logprob_start_len on; the first is null.
std::vector<float> read_sglang(const Json& answer, const std::vector<data::TokenId>& ids, size_t last) {
  const auto meta = get<Json>(answer, "meta_info", "answer");
  const auto entries = get<Json>(meta, "input_token_logprobs", "meta_info");
  if (!entries.is_array() || entries.size() != last + 1)
    broken(fmt::format("{} input_token_logprobs, not {}", entries.size(), last + 1));
  std::vector<float> out;
  for (size_t k = 0; k <= last; ++k) {
    const Json& entry = entries[k];
    if (!entry.is_array() || entry.size() < 2 || !entry[1].is_number_integer())
      broken("an entry is no [logprob, id]");
    if (entry[1].get<int64_t>() != ids[ids.size() - last - 1 + k])
      broken("an entry belongs to another token");
    if (k == 0 && !entry[0].is_null())
      broken("the first entry, which nothing precedes, has a log-probability");
    if (k > 0) out.push_back(finite(entry[0]));
  }
  return out;
}

}  // namespace

std::vector<float> read_score_answer(ScoreDialect dialect, const std::string& body,
                                     const std::vector<data::TokenId>& ids, size_t last) {
  const Json answer = parse_json(body, "the scorer's answer");
  return dialect == ScoreDialect::vllm ? read_vllm(answer, ids, last) : read_sglang(answer, ids, last);
}

std::optional<bool> read_greedy(ScoreDialect dialect, const std::string& body,
                                const std::vector<data::TokenId>& ids, size_t last) {
  if (dialect != ScoreDialect::vllm) return std::nullopt;
  read_score_answer(dialect, body, ids, last);  // the shape that is relied on below
  const Json answer = parse_json(body, "the scorer's answer");
  const Json& entries = answer["choices"][0]["prompt_logprobs"];
  bool greedy = true;
  for (size_t i = ids.size() - last; i < ids.size(); ++i) {
    const Json& own = entries[i].at(std::to_string(ids[i]));
    if (!own.contains("rank") || !own["rank"].is_number_integer()) return std::nullopt;
    greedy = greedy && own["rank"].get<int64_t>() == 1;
  }
  return greedy;
}

}  // namespace retrace::model
