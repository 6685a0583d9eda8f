// Words as lm-eval counts them for word perplexity.
#pragma once

#include <cstdint>
#include <string>

namespace retrace::eval {

// Pieces of re.split("\s+", text) with Python's idea of white space, counted.
int64_t count_words(const std::string& text);

}  // namespace retrace::eval
