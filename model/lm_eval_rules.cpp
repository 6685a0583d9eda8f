#include "model/lm_eval_rules.h"

#include <algorithm>

#include "core/error.h"

namespace retrace::model {

namespace {

constexpr const char* kWhiteSpace = " \t\n\r\f\v\x1c\x1d\x1e\x1f";  // of ASCII, as Python's str.rstrip

int32_t prefix_token(const data::Tokenizer& tokenizer) {
  const auto prefix = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
  if (!prefix)
    throw Error(Code::input, "the tokenizer has neither BOS nor EOS to condition the first token on",
                "use a tokenizer with one of them");
  return *prefix;
}

// BOS as prompt_ids puts it, then the text, uncut.
PromptIds whole_ids(std::string_view text, const data::Tokenizer& tokenizer, bool add_bos) {
  PromptIds out;
  if (const auto bos = tokenizer.bos()) {
    const std::string spelled = tokenizer.decode({*bos});
    const bool starts_with_bos = !spelled.empty() && text.starts_with(spelled);
    if (starts_with_bos) text.remove_prefix(spelled.size());
    if (starts_with_bos || add_bos) out.ids.push_back(*bos);
  }
  for (const auto id : tokenizer.encode(text)) out.ids.push_back(id);
  return out;
}

}  // namespace

PromptIds prompt_ids(const std::string& prompt, const data::Tokenizer& tokenizer, bool add_bos,
                     int64_t max_tokens) {
  if (max_tokens < 1)
    throw Error(Code::recipe, "the model's length leaves no room for a prompt",
                "generate fewer tokens, or raise the model's length");
  PromptIds out = whole_ids(prompt, tokenizer, add_bos);
  if (static_cast<int64_t>(out.ids.size()) > max_tokens) {
    out.dropped = static_cast<int64_t>(out.ids.size()) - max_tokens;
    out.ids.erase(out.ids.begin(), out.ids.begin() + out.dropped);
  }
  out.bos = !out.ids.empty() && tokenizer.bos() && out.ids.front() == *tokenizer.bos();
  return out;
}

ScoredIds continuation_ids(const std::string& context, const std::string& continuation,
                           const data::Tokenizer& tokenizer, bool add_bos, int64_t max_length) {
  const size_t last = context.find_last_not_of(kWhiteSpace);
  const std::string before = last == std::string::npos ? "" : context.substr(0, last + 1);
  size_t given = before.empty() ? 0 : whole_ids(before, tokenizer, add_bos).ids.size();
  ScoredIds out;
  if (given > 0) {
    out.ids = whole_ids(context + continuation, tokenizer, add_bos).ids;
  } else {
    out.ids =
        whole_ids(context + continuation, tokenizer, false).ids;  // a BOS that is spelled out is the one
    if (const int32_t prefix = prefix_token(tokenizer); out.ids.empty() || out.ids.front() != prefix)
      out.ids.insert(out.ids.begin(), prefix);
    given = 1;
  }
  const auto total = static_cast<int64_t>(out.ids.size());
  out.scored = std::max<int64_t>(total - static_cast<int64_t>(given), 0);
  if (max_length > 0 && out.scored > max_length)
    fail(Code::input, "a continuation of {} tokens is longer than the model's {}", out.scored, max_length);
  if (max_length > 0 && total > max_length + 1) {
    out.dropped = total - max_length - 1;
    out.ids.erase(out.ids.begin(), out.ids.begin() + out.dropped);
  }
  return out;
}

std::vector<int32_t> rolling_ids(const std::string& text, const data::Tokenizer& tokenizer) {
  std::vector<int32_t> ids{prefix_token(tokenizer)};
  for (const auto id : tokenizer.encode(text)) ids.push_back(id);
  return ids;
}

std::vector<RollingWindow> rolling_windows(int64_t num_ids, int64_t window) {
  if (window < 1) fail(Code::usage, "a window of {} tokens reads nothing", window);
  std::vector<RollingWindow> windows;
  for (int64_t from = 1; from < num_ids;) {
    const int64_t end = std::min(num_ids, from + window);
    windows.push_back({from == 1 ? 0 : end - 1 - window, from, end});
    from = end;
  }
  return windows;
}

StopWatch::StopWatch(const data::Tokenizer& tokenizer, const std::vector<std::string>& until)
    : tokenizer_(tokenizer) {
  for (const auto& stop : until)
    if (!stop.empty()) stops_.push_back({stop, tokenizer.encode(stop).size() + 2});
}

bool StopWatch::seen(const std::vector<int32_t>& tokens) const {
  for (const auto& [stop, tokens_back] : stops_) {
    const size_t from = tokens.size() - std::min(tokens.size(), tokens_back);
    const std::vector<int32_t> tail(tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.end());
    if (tokenizer_.decode(tail).find(stop) != std::string::npos) return true;
  }
  return false;
}

std::vector<std::string> with_eos(std::vector<std::string> until, const data::Tokenizer& tokenizer) {
  if (const auto eos = tokenizer.eos()) until.push_back(tokenizer.decode({*eos}));
  return until;
}

std::string cut_at_stops(std::string text, const std::vector<std::string>& until) {
  for (const auto& stop : until) {
    if (stop.empty()) continue;
    const size_t at = text.find(stop);
    if (at != std::string::npos) text.resize(at);
  }
  return text;
}

}  // namespace retrace::model
