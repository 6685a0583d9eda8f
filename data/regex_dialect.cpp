// Translation of tokenizer patterns to PCRE2. Only constructs on which tiktoken's engine, Oniguruma and PCRE2
// agree pass; the rest is refused by name rather than matched differently.
#include <string_view>

#include "core/error.h"
#include "data/pretokenizer.h"

namespace retrace::data {

namespace {

// PCRE2's own \s also matches U+180E, which left White_Space in Unicode 6.3.
constexpr const char* kWhiteSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

class Translator {
 public:
  explicit Translator(const std::string& pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_character(c);
      } else {
        outer_character(c);
      }
    }
    if (in_class_) refuse("an unclosed [");
    return out_;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(Code::input, fmt::format("unsupported in a pre-tokenizer pattern: {}", what),
                "patterns of Llama-3, GPT-2 and their relatives are supported",
                fmt::format("pattern {}", pattern_));
  }
  bool next_is(std::string_view text) const { return pattern_.compare(at_, text.size(), text) == 0; }
  void take(size_t count) {
    out_.append(pattern_, at_, count);
    at_ += count;
  }

  void escape() {
    if (at_ + 1 >= pattern_.size()) refuse("a trailing backslash");
    const char c = pattern_[at_ + 1];
    if (c == 's' || c == 'S') {
      if (in_class_ && c == 'S') refuse("\\S inside [...]");
      if (in_class_) {
        out_ += kWhiteSpace;
      } else {
        out_ += c == 's' ? "[" : "[^";
        out_ += kWhiteSpace;
        out_ += "]";
      }
      at_ += 2;
    } else if (c == 'd') {
      out_ += "\\p{Nd}";
      at_ += 2;
    } else if (c == 'p' || c == 'P') {
      const size_t close = pattern_.find('}', at_);
      if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || close == std::string::npos)
        refuse("\\p without {name}");
      const std::string name = pattern_.substr(at_ + 3, close - at_ - 3);
      if (name.empty() || name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") !=
                              std::string::npos)
        refuse("\\p{" + name + "}");
      take(close - at_ + 1);
    } else if (c == 'r' || c == 'n' || c == 't' ||
               std::string_view(R"(\|.*+?()[]{}^$-'"/!#%&,:;<=>@_`~ )").find(c) != std::string_view::npos) {
      take(2);
    } else {
      refuse(std::string("\\") + c);
    }
  }

  void class_character(char c) {
    if (c == '[') refuse("a nested [");
    if (next_is("&&")) refuse("&& inside [...]");
    if (c == ']') in_class_ = false;
    take(1);
  }

  void outer_character(char c) {
    if (c == '[') {
      in_class_ = true;
      take(next_is("[^") ? 2 : 1);
      if (at_ < pattern_.size() && pattern_[at_] == ']') refuse("] in front of a class");
    } else if (c == '(') {
      group();
    } else if (c == '.' || c == '^' || c == '$') {
      refuse(std::string(1, c));
    } else if (next_is("}+")) {
      refuse("}+");
    } else {
      take(1);
    }
  }

  void group() {
    if (!next_is("(?")) {
      take(1);
      return;
    }
    for (std::string_view form : {"(?:", "(?i:", "(?!", "(?=", "(?<!", "(?<="}) {
      if (next_is(form)) {
        take(form.size());
        return;
      }
    }
    refuse(pattern_.substr(at_, 4));
  }

  const std::string& pattern_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string to_pcre2(const std::string& pattern) {
  return Translator(pattern).run();
}

}  // namespace retrace::data
