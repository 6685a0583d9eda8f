// Words for slots: cleaning of foreign prose, and naming of things. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retrace::synth {

// White space folded to single blanks, control characters gone, "<|" broken up, "***", "===" and the like
// gone.
std::string clean_prose(std::string_view text);
// The first sentence of the first paragraph that is neither licence, marker nor decoration; at most
// `max_code_points`, cut at a word. "" if there is none.
std::string first_sentence(std::string_view text, size_t max_code_points);
// Makes any text fit for a slot: valid UTF-8, no "<|", no control characters but newline and tab.
std::string fit_for_slot(std::string_view text);

std::string ticked(std::string_view name);                                          // `name`
std::string list_of(const std::vector<std::string>& names, size_t most);            // "a, b and 3 more"
std::string counted(size_t count, std::string_view one, std::string_view several);  // "1 file", "3 files"

}  // namespace retrace::synth
