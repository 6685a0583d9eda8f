// The matches of three common pre-tokeniser patterns where only ASCII decides them, by hand instead of by a
// regular expression. Promise: where a scan answers, the expression's next match is the same.
#pragma once

#include <cstddef>
#include <string_view>

namespace retrace::data {

// The end of the match that begins at text[from]; 0 where a byte above 0x7F takes part in the decision.
using AsciiScan = size_t (*)(std::string_view text, size_t from);

size_t scan_llama3(std::string_view text, size_t from);  // kLlama3Pattern
size_t scan_gpt2(std::string_view text, size_t from);    // kGpt2Pattern
// Null if there is none for the pattern. Patterns with a scan match at every place of a text.
AsciiScan ascii_scan_of(std::string_view pattern);

}  // namespace retrace::data
