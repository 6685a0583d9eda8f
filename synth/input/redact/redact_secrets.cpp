// Known secret formats as regular expressions behind a keyword filter, and private-key blocks by hand.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/core.h>
#include <pcre2.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/error.h"
#include "synth/input/redact/keywords.h"
#include "synth/input/redact/redact.h"
#include "synth/input/redact/redact_rules.h"

namespace retrace::synth {

namespace {

struct SecretRule {
  const char* kind;
  std::vector<const char*> keywords;  // the expression is tried only where one of these occurs
  const char* expression;             // group "s" (or the whole match) is replaced
  double min_entropy_bits;
  bool needs_digit;
};

#define RETRACE_NAMES                                                                                \
  "(?:api[_-]?key|apikey|secret|token|passwd|password|passphrase|auth|credentials?|private[_-]?key|" \
  "access[_-]?key|account[_-]?key|encryption[_-]?key|signing[_-]?key)"

// One row a format. The generic rows come last: a named kind is the better answer.
const std::vector<SecretRule>& secret_rules() {
  static const std::vector<SecretRule> rules = {
      {"aws_key", {"akia", "asia", "abia", "acca"}, R"(\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b)", 2.5, false},
      {"github_token",
       {"ghp_", "gho_", "ghu_", "ghs_", "ghr_"},
       R"(\bgh[pousr]_[A-Za-z0-9]{36,255}\b)",
       2,
       false},
      {"github_token", {"github_pat_"}, R"(\bgithub_pat_[A-Za-z0-9_]{22,255}\b)", 2, false},
      {"gitlab_token", {"glpat-"}, R"(\bglpat-[A-Za-z0-9_-]{20,64})", 2, false},
      {"slack_token", {"xox"}, R"(\bxox[abeoprs]-[A-Za-z0-9-]{10,250})", 2, true},
      {"slack_webhook",
       {"hooks.slack.com"},
       R"(hooks\.slack\.com/(?:services|workflows)/(?<s>[A-Za-z0-9+/]{24,120}))",
       2,
       false},
      {"google_key", {"aiza"}, R"(\bAIza[0-9A-Za-z_-]{35})", 2, false},
      {"google_oauth", {"ya29."}, R"(\bya29\.[0-9A-Za-z_-]{20,500})", 2, false},
      {"stripe_key", {"_live_"}, R"(\b[sr]k_live_[0-9A-Za-z]{16,100})", 2, false},
      {"llm_key", {"sk-"}, R"(\bsk-[A-Za-z0-9_-]{32,250})", 3.5, true},
      {"npm_token", {"npm_"}, R"(\bnpm_[A-Za-z0-9]{36}\b)", 3, false},
      {"pypi_token", {"pypi-"}, R"(\bpypi-[A-Za-z0-9_-]{50,250})", 3, false},
      {"hf_token", {"hf_"}, R"(\bhf_[A-Za-z]{34}\b)", 3, false},
      {"sendgrid_key", {"sg."}, R"(\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64})", 3, false},
      {"jwt",
       {"eyj"},
       R"(\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,2000})",
       3,
       false},
      {"password",
       {"://"},
       R"(\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@<>"'`{}$%()\[\]]{1,64}:(?<s>[^\s/:@<>"'`{}$()\[\]]{3,128})@[A-Za-z0-9\[])",
       0,
       false},
      {"secret",
       {"key", "secret", "token", "passw", "passphrase", "auth", "credential"},
       "(?i)" RETRACE_NAMES
       R"([A-Za-z0-9_.-]{0,32}["'`]?\]?\s{0,8}(?::=|=>|[=:(,])\s{0,8}[bru]?["'`](?<s>[A-Za-z0-9+/=_.~!@#$%^&*-]{12,512})["'`])",
       3.5,
       true},
      {"secret",
       {"key", "secret", "token", "passw"},
       R"((?m)^[ \t]*(?:export[ \t]+)?[A-Z0-9_]{0,40}(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD)[A-Z0-9_]{0,20}=(?<s>[A-Za-z0-9+/=_.~-]{16,512})[ \t]*$)",
       3.5,
       true},
  };
  return rules;
}
#undef RETRACE_NAMES

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

struct CompiledRules {
  std::vector<std::unique_ptr<pcre2_code, FreeCode>> codes;
  std::vector<uint32_t> groups;  // number of group "s", 0 = whole match
  KeywordScanner keywords;

  CompiledRules() {
    const auto& rules = secret_rules();
    for (size_t i = 0; i < rules.size(); ++i) {
      int error = 0;
      PCRE2_SIZE offset = 0;
      pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rules[i].expression),
                                       PCRE2_ZERO_TERMINATED, 0, &error, &offset, nullptr);
      if (code == nullptr)
        fail(Code::internal, "the expression of secret rule {} does not compile at {}", rules[i].kind,
             offset);
      codes.emplace_back(code);
      pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT the interpreter gives the same matches
      const int group = pcre2_substring_number_from_name(code, reinterpret_cast<PCRE2_SPTR>("s"));
      groups.push_back(group > 0 ? static_cast<uint32_t>(group) : 0);
      for (const char* keyword : rules[i].keywords) keywords.add(keyword, static_cast<int>(i));
    }
    keywords.build();
  }
};

const CompiledRules& compiled_rules() {
  static const CompiledRules compiled;
  return compiled;
}

bool has_digit_and_letter(std::string_view text) {
  bool digit = false, letter = false;
  for (char c : text) {
    digit |= c >= '0' && c <= '9';
    letter |= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  return digit && letter;
}

void apply_rule(std::string_view text, size_t index, std::vector<SecretMatch>* matches) {
  const SecretRule& rule = secret_rules()[index];
  const CompiledRules& compiled = compiled_rules();
  const pcre2_code* code = compiled.codes[index].get();
  const std::unique_ptr<pcre2_match_data, FreeMatch> data(
      pcre2_match_data_create_from_pattern(code, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeContext> context(pcre2_match_context_create(nullptr));
  ensure(data != nullptr && context != nullptr, "memory for a regular expression match");
  for (size_t at = 0; at <= text.size();) {
    const int count = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, 0,
                                  data.get(), context.get());
    if (count == PCRE2_ERROR_NOMATCH) return;
    if (count < 0) fail(Code::internal, "secret rule {} failed with PCRE2 error {}", rule.kind, count);
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
    const size_t group = compiled.groups[index];
    const size_t begin = bounds[2 * group], end = bounds[2 * group + 1];
    const std::string_view secret = text.substr(begin, end - begin);
    if (entropy_bits(secret) >= rule.min_entropy_bits && (!rule.needs_digit || has_digit_and_letter(secret)))
      matches->push_back({begin, end, rule.kind, "<SECRET>", static_cast<int>(10 + index)});
    at = std::max<size_t>(end, bounds[0] + 1);
  }
}

bool is_base64(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
         c == '=';
}

struct KeyMaterial {
  size_t visible_bytes = 0;      // everything but white space
  size_t run_bytes = 0;          // in runs of at least kMinRunBytes base64 characters
  size_t leading_run_bytes = 0;  // of those, before anything that is neither a run nor a separator
  size_t leading_end = 0;        // where those end
};

KeyMaterial measure_key(std::string_view body) {
  constexpr size_t kMinRunBytes = 20;
  constexpr std::string_view kSpace = " \t\r\n", kSeparators = "\\\"',+#*.()";
  KeyMaterial material;
  bool leading = true;
  for (size_t at = 0; at < body.size();) {
    size_t end = at;
    while (end < body.size() && is_base64(body[end])) ++end;
    const size_t length = end - at;
    if (length >= kMinRunBytes) {
      material.run_bytes += length;
      if (leading) {
        material.leading_run_bytes += length;
        material.leading_end = end;
      }
    } else if (length > 2) {
      leading = false;
    }
    material.visible_bytes += length;
    if (length == 0) {
      const bool space = kSpace.find(body[at]) != kSpace.npos;
      if (!space) ++material.visible_bytes;
      if (!space && kSeparators.find(body[at]) == kSeparators.npos) leading = false;
      end = at + 1;
    }
    at = end;
  }
  return material;
}

}  // namespace

void find_secrets(std::string_view text, std::vector<SecretMatch>* matches) {
  const uint64_t groups = compiled_rules().keywords.scan(text);
  for (size_t i = 0; i < secret_rules().size(); ++i)
    if (groups >> i & 1) apply_rule(text, i, matches);
}

// A BEGIN line is often only a constant in somebody's parser. It counts as a key when the text up to the END
// line is mostly long runs of base64; where the END line is missing, when such runs follow at once.
void find_private_keys(std::string_view text, std::vector<SecretMatch>* matches) {
  constexpr std::string_view kBegin = "-----BEGIN ", kTail = "PRIVATE KEY", kEnd = "-----END ",
                             kDashes = "-----";
  constexpr size_t kMaxLabelBytes = 40, kMaxKeyBytes = 16384, kMinKeyBytes = 40;
  for (size_t begin = text.find(kBegin); begin != text.npos; begin = text.find(kBegin, begin + 1)) {
    const size_t label = begin + kBegin.size();
    const size_t tail = text.substr(label, kMaxLabelBytes).find(kTail);
    if (tail == text.npos) continue;
    const size_t dashes = text.substr(label + tail + kTail.size(), 12).find(kDashes);
    if (dashes == text.npos) continue;
    const size_t body = label + tail + kTail.size() + dashes + kDashes.size();
    const size_t end_line = text.substr(body, kMaxKeyBytes).find(kEnd);
    const KeyMaterial material = measure_key(text.substr(body, std::min(end_line, kMaxKeyBytes)));
    size_t end = 0;
    if (end_line != text.npos && material.run_bytes >= kMinKeyBytes &&
        material.run_bytes * 10 >= material.visible_bytes * 6) {
      const size_t after = body + end_line + kEnd.size();
      const size_t close = text.substr(after, kMaxLabelBytes + 20).find(kDashes);
      end = close == text.npos ? after : after + close + kDashes.size();
    } else if (material.leading_run_bytes >= kMinKeyBytes) {
      end = body + material.leading_end;
    }
    if (end == 0) continue;
    matches->push_back({begin, end, "private_key", "<PRIVATE_KEY>", 0});
    begin = end - 1;
  }
}

}  // namespace retrace::synth
