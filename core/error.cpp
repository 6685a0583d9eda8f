#include "core/error.h"

#include <csignal>

namespace retrace {

const char* code_name(Code code) {
  switch (code) {
    case Code::internal:
      return "internal";
    case Code::usage:
      return "usage";
    case Code::recipe:
      return "recipe";
    case Code::input:
      return "input";
    case Code::corrupt:
      return "corrupt";
    case Code::incomplete:
      return "incomplete";
    case Code::io:
      return "io";
    case Code::network:
      return "network";
    case Code::distributed:
      return "distributed";
    case Code::numeric:
      return "numeric";
    case Code::interrupted:
      return "interrupted";
  }
  return "internal";
}

int exit_status(Code code) {
  switch (code) {
    case Code::internal:
    case Code::numeric:
      return 1;
    case Code::usage:
    case Code::recipe:
      return 2;
    case Code::input:
    case Code::corrupt:
      return 3;
    case Code::incomplete:
      return 4;
    case Code::io:
    case Code::network:
    case Code::distributed:
      return 75;
    case Code::interrupted:
      return 130;
  }
  return 1;
}

Error::Error(Code code, std::string message, std::string hint, std::string where)
    : code_(code), message_(std::move(message)), hint_(std::move(hint)), where_(std::move(where)) {
  compose();
}

Error::~Error() = default;

const char* Error::what() const noexcept {
  return text_.c_str();
}

void fail_with(Code code, fmt::string_view format, fmt::format_args args) {
  throw Error(code, fmt::vformat(format, args));
}

Error& Error::in(const std::string& place) {
  where_ = where_.empty() ? place : place + ": " + where_;
  compose();
  return *this;
}

int Error::status() const {
  return code_ == Code::interrupted && signal == SIGTERM ? 143 : exit_status(code_);
}

void Error::compose() {
  text_ = where_.empty() ? message_ : where_ + ": " + message_;
  if (!hint_.empty()) text_ += "\n  hint: " + hint_;
}

void ensure(bool condition, const char* what_must_hold) {
  if (!condition)
    throw Error(Code::internal, std::string("broken invariant: ") + what_must_hold,
                "this is a bug in retrace; please report it with the command that led here");
}

}  // namespace retrace
