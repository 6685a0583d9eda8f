// Text helpers of the symbol walk: comments and docstrings without their marks.
#include <algorithm>

#include "core/text.h"
#include "synth/structure/symbols/symbols.h"

namespace retrace::synth {

namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string_view without_marks(std::string_view line) {
  line = trim(line);
  for (std::string_view mark : {"/**", "/*!", "/*", "///", "//!", "//", "*/", "#!", "*", "#"}) {
    if (line.substr(0, mark.size()) != mark) continue;
    line.remove_prefix(mark.size());
    if (mark == "#" || mark == "*" || mark == "//")
      while (!line.empty() && (line[0] == mark[0]) && line.substr(0, 2) != "*/") line.remove_prefix(1);
    break;
  }
  if (line.size() >= 2 && line.substr(line.size() - 2) == "*/") line.remove_suffix(2);
  while (!line.empty() && line.back() == '*') line.remove_suffix(1);
  if (!line.empty() && line[0] == '/' && trim(line.substr(1)).empty()) return {};
  return line;
}

// Common indentation of all lines but the first is removed, as Python's inspect.cleandoc does.
std::string dedented(std::string_view text) {
  const auto lines = lines_of(text);
  size_t margin = std::string_view::npos;
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t first = lines[i].find_first_not_of(" \t");
    if (first != lines[i].npos && trim(lines[i]).size() > 0) margin = std::min(margin, first);
  }
  std::string result;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string_view line = lines[i];
    if (i == 0)
      line = trim(line);
    else
      line = line.substr(std::min(line.size(), margin == std::string_view::npos ? 0 : margin));
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
      line.remove_suffix(1);
    if (i > 0) result += '\n';
    result += line;
  }
  return std::string(trim(result));
}

}  // namespace

std::string fold_space(std::string_view text) {
  std::string folded;
  for (char c : trim(text)) {
    const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
    if (!space)
      folded += c;
    else if (folded.back() != ' ')
      folded += ' ';
  }
  return folded;
}

std::string clean_comment(std::string_view comment) {
  std::string text;
  for (std::string_view line : lines_of(comment)) {
    std::string_view words = without_marks(line);
    if (!words.empty() && words[0] == ' ') words.remove_prefix(1);
    while (!words.empty() && (words.back() == ' ' || words.back() == '\t' || words.back() == '\r'))
      words.remove_suffix(1);
    const bool ruler = !words.empty() && std::all_of(words.begin(), words.end(), [](char c) {
      return c == '-' || c == '=' || c == '*' || c == '#' || c == '~' || c == '_' || c == '/' || c == ' ';
    });
    if (ruler) continue;
    if (words.substr(0, 6) == "@brief" || words.substr(0, 6) == "\\brief")
      words.remove_prefix(std::min<size_t>(words.size(), 7));
    else if (!words.empty() && words[0] == '@')
      break;  // tags of JSDoc, Javadoc and Doxygen follow the description
    text += words;
    text += '\n';
  }
  return std::string(trim(text));
}

std::string clean_docstring(std::string_view literal) {
  const size_t quote = literal.find_first_of("\"'");
  if (quote == literal.npos || quote > 2) return "";
  literal.remove_prefix(quote);
  const bool triple = literal.size() >= 6 && literal[1] == literal[0] && literal[2] == literal[0];
  const size_t marks = triple ? 3 : 1;
  if (literal.size() < 2 * marks) return "";
  return dedented(literal.substr(marks, literal.size() - 2 * marks));
}

std::string python_docstring(TSNode body, std::string_view text) {
  if (ts_node_is_null(body)) return "";
  for (TSNode statement : named_children(body)) {
    if (is(statement, "comment")) continue;
    // Grammars differ in whether a bare expression is wrapped.
    const bool wrapped = is(statement, "expression_statement") && ts_node_named_child_count(statement) == 1;
    const TSNode value = wrapped ? ts_node_named_child(statement, 0) : statement;
    if (!is(value, "string")) return "";
    const std::string_view literal = node_text(value, text);
    const char first = literal.empty() ? ' ' : literal[0];
    const bool bytes_or_format = first == 'b' || first == 'B' || first == 'f' || first == 'F';
    return bytes_or_format ? "" : clean_docstring(literal);
  }
  return "";
}

bool is_upper_name(std::string_view name) {
  bool letter = false;
  for (char c : name) {
    if (c >= 'a' && c <= 'z') return false;
    letter |= c >= 'A' && c <= 'Z';
  }
  return letter && name.size() > 1;
}

}  // namespace retrace::synth
