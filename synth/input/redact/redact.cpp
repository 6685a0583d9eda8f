#include "synth/input/redact/redact.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "synth/input/redact/redact_rules.h"

namespace retrace::synth {

namespace {

// Leftmost match wins; at one place the rule of higher rank; what overlaps an accepted match is left to the
// next pass.
std::vector<SecretMatch> find_matches(std::string_view text) {
  std::vector<SecretMatch> found;
  find_private_keys(text, &found);
  find_secrets(text, &found);
  find_emails(text, &found);
  std::stable_sort(found.begin(), found.end(), [](const SecretMatch& a, const SecretMatch& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.priority < b.priority;
  });
  std::vector<SecretMatch> chosen;
  for (const SecretMatch& match : found)
    if (chosen.empty() || match.begin >= chosen.back().end) chosen.push_back(match);
  return chosen;
}

RedactedText replace(const RedactedText& before, const std::vector<SecretMatch>& matches) {
  RedactedText after;
  size_t copied = 0, next_old = 0;
  auto keep_old_spans = [&](size_t up_to) {
    for (; next_old < before.spans.size() && before.spans[next_old].offset < up_to; ++next_old) {
      RedactedSpan span = before.spans[next_old];
      span.offset = after.text.size() + (span.offset - copied);
      after.spans.push_back(span);
    }
  };
  for (const SecretMatch& match : matches) {
    keep_old_spans(match.begin);
    after.text.append(before.text, copied, match.begin - copied);
    while (next_old < before.spans.size() && before.spans[next_old].offset < match.end) ++next_old;
    after.spans.push_back({match.kind, after.text.size()});
    after.text += match.placeholder;
    copied = match.end;
  }
  keep_old_spans(before.text.size() + 1);
  after.text.append(before.text, copied);
  return after;
}

}  // namespace

double entropy_bits(std::string_view text) {
  if (text.empty()) return 0;
  std::array<size_t, 256> counts{};
  for (char c : text) ++counts[static_cast<unsigned char>(c)];
  double bits = 0;
  for (size_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(text.size());
    bits -= share * std::log2(share);
  }
  return bits;
}

// Repeated until nothing is found, so that the result is stable by construction. A pass removes bytes that
// are in no placeholder and adds none, hence the loop ends.
RedactedText redact(std::string_view text) {
  RedactedText result;
  result.text = std::string(text);
  for (auto matches = find_matches(result.text); !matches.empty(); matches = find_matches(result.text))
    result = replace(result, matches);
  return result;
}

}  // namespace retrace::synth
