// Prompts for language models: readable files under synth/prompts, compiled in, replaceable by a folder. What
// comes from a repository is fenced as data, and a placeholder inside it is text.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "synth/generate/generator.h"

namespace retrace::synth {

struct Prompts {
  std::map<std::string, std::string> texts;  // by name: system, requirements, plan, delegate, ...
  std::string fingerprint;                   // hash of all of them
};

// The built-in ones; a file NAME.txt in `folder` ("" = none) replaces one of them. Error{recipe} on a file of
// another name, an unknown placeholder, or a folder that is not there.
Prompts load_prompts(const std::string& folder);

// How the marks around a quotation begin: an answer that holds them repeats its prompt.
inline constexpr const char* kQuoteMark = "[data ";
inline constexpr size_t kQuoteMarkDigits = 12;  // hexadecimal, that follow

struct Prompt {
  std::string system, user;
};

// What the generator may see at this step (synth/generate/generator.h), at most `max_bytes` of quotations.
Prompt make_prompt(const Prompts& prompts, const SlotRequest& request, size_t max_bytes);

}  // namespace retrace::synth
