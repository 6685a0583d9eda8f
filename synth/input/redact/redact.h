// Secrets and e-mail addresses out of a text, before anything else sees it. What is found is replaced by
// <EMAIL>, <PRIVATE_KEY> or <SECRET>; redacting the result again changes nothing. It finds known formats and
// assignments of high-entropy strings to telling names; it does not claim to find every secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::synth {

struct RedactedSpan {
  std::string kind;     // email, private_key, aws_key, github_token, ..., password, secret
  uint64_t offset = 0;  // of the placeholder, in the redacted text
};

struct RedactedText {
  std::string text;
  std::vector<RedactedSpan> spans;  // sorted by offset
};

RedactedText redact(std::string_view text);

double entropy_bits(std::string_view text);  // Shannon entropy of the bytes, in bits a byte

}  // namespace retrace::synth
