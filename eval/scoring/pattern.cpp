#include "eval/scoring/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/error.h"

namespace retrace::eval {

struct Pattern::State {
  pcre2_code* code = nullptr;
  ~State() { pcre2_code_free(code); }

  // Calls visit(match data's offsets, number of pairs) for each match from left to right.
  template <class Visit>
  void each(std::string_view text, Visit visit) const {
    std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
        pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    size_t at = 0;
    while (at <= text.size()) {
      const int pairs = pcre2_match(code, subject, text.size(), at, 0, data.get(), nullptr);
      if (pairs == PCRE2_ERROR_NOMATCH) return;
      if (pairs < 0) fail(Code::internal, "a regular expression failed with PCRE2 error {}", pairs);
      const size_t* offsets = pcre2_get_ovector_pointer(data.get());
      visit(offsets, pcre2_get_ovector_count(data.get()));
      at = offsets[1] > offsets[0] ? offsets[1] : offsets[1] + 1;
    }
  }
};

Pattern::Pattern(const std::string& expression, bool ignore_case) : state_(std::make_unique<State>()) {
  int error = 0;
  size_t offset = 0;
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
  if (ignore_case) options |= PCRE2_CASELESS;
  state_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), options,
                               &error, &offset, context.get());
  if (!state_->code)
    fail(Code::internal, "regular expression '{}' does not compile (PCRE2 error {} at {})", expression, error,
         offset);
  pcre2_jit_compile(state_->code, PCRE2_JIT_COMPLETE);
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

std::vector<std::vector<std::string>> Pattern::find_all(std::string_view text) const {
  std::vector<std::vector<std::string>> out;
  state_->each(text, [&](const size_t* offsets, size_t pairs) {
    auto& groups = out.emplace_back();
    for (size_t i = 0; i < pairs; ++i)
      groups.emplace_back(offsets[2 * i] == PCRE2_UNSET
                              ? std::string_view{}
                              : text.substr(offsets[2 * i], offsets[2 * i + 1] - offsets[2 * i]));
  });
  return out;
}

std::string Pattern::remove_all(std::string_view text) const {
  std::string out;
  size_t kept = 0;
  state_->each(text, [&](const size_t* offsets, size_t) {
    out += text.substr(kept, offsets[0] - kept);
    kept = offsets[1];
  });
  out += text.substr(kept);
  return out;
}

}  // namespace retrace::eval
