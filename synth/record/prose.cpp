#include "synth/record/prose.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/text.h"

namespace retrace::synth {

namespace {

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 32 || c == 127;
}

// Words by which licence headers, editor marks and generated notices betray themselves.
bool is_boilerplate(const std::string& paragraph) {
  const std::string lower = to_lower(paragraph);
  for (const char* mark : {"copyright", "licensed", "license", "licence", "spdx", "all rights reserved",
                           "warranty", "-*-", "vim:", "coding:", "permission is hereby", "redistribution",
                           "#!", "bin/env", "@author", "eslint", "pragma", "<email>"})
    if (lower.find(mark) != std::string::npos) return true;
  return false;
}

bool has_word(const std::string& text) {
  size_t letters = 0;
  for (char c : text) letters += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
  return letters >= 4 && letters * 2 >= text.size();
}

std::string cut_at_word(const std::string& text, size_t max_code_points) {
  std::string cut = shorten(text, max_code_points);
  if (cut == text) return text;
  const size_t blank = cut.rfind(' ');
  return blank == std::string::npos ? cut : cut.substr(0, blank);
}

}  // namespace

std::string clean_prose(std::string_view text) {
  std::string out;
  for (char c : replace_all(utf8_lossy(text), "<|", "< |")) {
    if (is_control(c)) c = ' ';
    const bool decoration = c == '*' || c == '=' || c == '#' || c == '~' || c == '|';
    if (decoration && !out.empty() && out.back() == c) continue;
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c;
  }
  const char* edges = " *=#~|/-";
  const size_t first = out.find_first_not_of(edges);
  if (first == std::string::npos) return "";
  return out.substr(first, out.find_last_not_of(edges) - first + 1);
}

std::string first_sentence(std::string_view text, size_t max_code_points) {
  std::vector<std::string> paragraphs(1);
  for (std::string_view line : split_lines(text)) {
    if (trim(line).empty())
      paragraphs.emplace_back();
    else
      paragraphs.back() += std::string(line) + "\n";
  }
  for (const std::string& raw : paragraphs) {
    std::string paragraph = clean_prose(raw);
    if (!has_word(paragraph) || is_boilerplate(raw)) continue;
    size_t end = std::string::npos;
    for (const char* stop : {". ", "! ", "? "}) end = std::min(end, paragraph.find(stop));
    if (end != std::string::npos) paragraph.resize(end + 1);
    return cut_at_word(paragraph, max_code_points);
  }
  return "";
}

std::string fit_for_slot(std::string_view text) {
  std::string out;
  for (char c : replace_all(utf8_lossy(text), "<|", "< |"))
    if (!is_control(c) || c == '\n' || c == '\t') out += c;
  return std::string(trim(out));
}

std::string ticked(std::string_view name) {
  return "`" + std::string(name) + "`";
}

std::string list_of(const std::vector<std::string>& names, size_t most) {
  if (names.empty()) return "";
  const size_t shown = std::min(most, names.size());
  std::string out;
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) out += i + 1 == shown && shown == names.size() ? " and " : ", ";
    out += names[i];
  }
  if (shown < names.size()) out += fmt::format(" and {} more", names.size() - shown);
  return out;
}

std::string counted(size_t count, std::string_view one, std::string_view several) {
  return fmt::format("{} {}", count, count == 1 ? one : several);
}

}  // namespace retrace::synth
