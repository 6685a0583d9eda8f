// Small helpers on text. All are pure; views point into the argument.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace retrace {

// Lines without their '\n'; text that ends in '\n' has no empty last line. A '\r' stays.
std::vector<std::string_view> split_lines(std::string_view text);
// The front of a text up to its first '\n': of an exception's text, what stands before its stack trace.
std::string first_line(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);  // "a,,b" gives three pieces
std::string_view trim(std::string_view text);  // ASCII white space on both sides
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string to_lower(std::string_view text);  // ASCII letters only
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_valid_utf8(std::string_view text);
// Each maximal part of an ill-formed sequence becomes one U+FFFD, as Unicode recommends and Python's
// errors="replace" does.
std::string utf8_lossy(std::string_view text);
// Length in bytes of the well-formed sequence at the front of `text`, 0 if it is ill-formed or empty.
size_t utf8_sequence_bytes(std::string_view text);

std::string html_escape(std::string_view text);  // & < > " '
// At most `max_code_points` code points; a cut is shown by "..." within that count. Never splits a sequence.
std::string shorten(std::string_view text, size_t max_code_points);
// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);
// The candidate nearest to `word`, "" if none is close (more than a third of its letters differ).
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace retrace
