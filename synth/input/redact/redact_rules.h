// The table of secret formats that redact() applies, and the e-mail and private-key scanners beside it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::synth {

struct SecretMatch {
  size_t begin = 0, end = 0;  // bytes to replace
  const char* kind = nullptr;
  const char* placeholder = nullptr;
  int priority = 0;  // of matches that begin together the lowest wins
};

// Each appends what it finds, in text order; matches of one function do not overlap.
void find_emails(std::string_view text, std::vector<SecretMatch>* matches);
void find_private_keys(std::string_view text, std::vector<SecretMatch>* matches);
void find_secrets(std::string_view text, std::vector<SecretMatch>* matches);

}  // namespace retrace::synth
