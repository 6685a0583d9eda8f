#include "synth/generate/answer.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "synth/generate/prompts.h"
#include "synth/record/prose.h"

namespace retrace::synth {

namespace {

constexpr size_t kLongestTokenName = 64, kLongestMark = 40;
constexpr const char* kReasoningEnd = "</think>";

// The names that chat templates give to control tokens. A slot could not carry them as tokens, but a model
// that writes them has lost its thread.
bool has_control_token(const std::string& text) {
  for (size_t at = text.find("<|"); at != std::string::npos; at = text.find("<|", at + 2)) {
    const size_t end = text.find("|>", at);
    if (end != std::string::npos && end - at <= kLongestTokenName) return true;
  }
  for (const char* name : {"<s>", "</s>", "[INST]", "[/INST]", "<start_of_turn>", "<end_of_turn>", "<think>"})
    if (text.find(name) != std::string::npos) return true;
  return false;
}

// The marks around quotations, also where a model says them after in words of its own:
// "[file 0123456789ab: end]".
bool repeats_marks(const std::string& text) {
  if (text.find(kQuoteMark) != std::string::npos) return true;
  for (size_t at = text.find('['); at != std::string::npos; at = text.find('[', at + 1)) {
    const size_t colon = text.find_first_of(":]", at);
    if (colon == std::string::npos || text[colon] != ':' || colon < at + kQuoteMarkDigits ||
        colon > at + kLongestMark)
      continue;
    const std::string_view digits(text.data() + colon - kQuoteMarkDigits, kQuoteMarkDigits);
    if (digits.find_first_not_of("0123456789abcdef") == std::string_view::npos) return true;
  }
  return false;
}

int64_t longest_code_block(const std::string& text) {
  int64_t longest = 0, now = 0;
  bool inside = false;
  for (std::string_view line : split_lines(text)) {
    const std::string_view bare = trim(line);
    if (bare.starts_with("```") || bare.starts_with("~~~")) {
      inside = !inside;
      now = 0;
    } else if (inside) {
      longest = std::max(longest, ++now);
    }
  }
  return longest;
}

size_t last_sentence_end(const std::string& text) {
  size_t end = 0;
  for (size_t i = 0; i + 1 < text.size(); ++i)
    if ((text[i] == '.' || text[i] == '!' || text[i] == '?') && (text[i + 1] == ' ' || text[i + 1] == '\n'))
      end = i + 1;
  if (!text.empty() && std::string_view(".!?").find(text.back()) != std::string_view::npos) end = text.size();
  return end;
}

}  // namespace

CheckedAnswer check_answer(const std::string& body, const AnswerRules& rules) {
  std::string text, finish;
  try {
    const Json json = parse_json(body, "answer");
    const auto choices = get<Json>(json, "choices", "answer");
    if (!choices.is_array() || choices.empty()) return {"", "malformed"};
    const Json& choice = choices[0];
    text = rules.chat ? get_or<std::string>(get<Json>(choice, "message", "answer"), "content", "", "answer")
                      : get<std::string>(choice, "text", "answer");
    finish = get_or<std::string>(choice, "finish_reason", "", "answer");
  } catch (const Error&) {
    return {"", "malformed"};
  }
  if (const size_t end = text.rfind(kReasoningEnd); end != std::string::npos)
    text.erase(0, end + std::string_view(kReasoningEnd).size());
  if (has_control_token(text)) return {"", "control_token"};
  if (longest_code_block(text) > rules.max_code_lines) return {"", "code"};
  if (repeats_marks(text)) return {"", "echo"};
  text = fit_for_slot(text);
  if (text.empty()) return {"", "empty"};
  if (finish == "length") {
    const size_t end = last_sentence_end(text);
    if (end == 0 || end < text.size() / 2) return {"", "truncated"};
    text.resize(end);
  }
  if (text.size() > rules.max_chars) return {"", "too_long"};
  return {text, ""};
}

}  // namespace retrace::synth
