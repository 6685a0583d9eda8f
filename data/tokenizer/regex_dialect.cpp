// Translation of tokenizer patterns to PCRE2. Only constructs on which tiktoken's engine, Oniguruma and PCRE2
// agree pass; the rest is refused by name rather than matched differently.
#include <string_view>

#include "core/error.h"
#include "data/tokenizer/pretokenizer.h"

namespace retrace::data {

namespace {

// PCRE2's own \s also matches U+180E, which left White_Space in Unicode 6.3.
constexpr const char* kWhiteSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// Letters and numbers of Unicode 15 to 16, which tiktoken's and HF tokenizers' tables know and PCRE2 10.42's
// do not.
constexpr const char* kLaterLetters =
    R"(\x{1c89}-\x{1c8a}\x{a7cb}-\x{a7cd}\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3}\x{10d4a}-\x{10d65})"
    R"(\x{10d6f}-\x{10d85}\x{10ec2}-\x{10ec4}\x{1123f}-\x{11240}\x{11380}-\x{11389}\x{1138b}\x{1138e})"
    R"(\x{11390}-\x{113b5}\x{113b7}\x{113d1}\x{113d3}\x{11bc0}-\x{11be0}\x{11f02}\x{11f04}-\x{11f10})"
    R"(\x{11f12}-\x{11f33}\x{1342f}\x{13441}-\x{13446}\x{13460}-\x{143fa}\x{16100}-\x{1611d})"
    R"(\x{16d40}-\x{16d6c}\x{18cff}\x{1b132}\x{1b155}\x{1df25}-\x{1df2a}\x{1e030}-\x{1e06d})"
    R"(\x{1e4d0}-\x{1e4eb}\x{1e5d0}-\x{1e5ed}\x{1e5f0}\x{2b739}\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})";
constexpr const char* kLaterNumbers =
    R"(\x{10d40}-\x{10d49}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{11f50}-\x{11f59}\x{16130}-\x{16139})"
    R"(\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1d2c0}-\x{1d2d3}\x{1e4f0}-\x{1e4f9}\x{1e5f1}-\x{1e5fa})";

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
      const bool extended = c == 'p' && (name == "L" || name == "N");
      if (extended && !in_class_) out_ += '[';
      take(close - at_ + 1);
      if (extended) out_ += name == "L" ? kLaterLetters : kLaterNumbers;
      if (extended && !in_class_) out_ += ']';
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
