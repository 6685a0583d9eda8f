// Regular expressions of Python's `re` dialect over UTF-8 text, by PCRE2. Invalid UTF-8 never matches.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::eval {

class Pattern {
 public:
  explicit Pattern(const std::string& expression,
                   bool ignore_case = false);  // Error{internal} if it does not compile
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  // One entry a match, in order: the whole match, then each group ("" if it took no part).
  std::vector<std::vector<std::string>> find_all(std::string_view text) const;
  std::string remove_all(std::string_view text) const;  // re.sub(expression, "", text)

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::eval
