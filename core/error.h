// One error type for the whole program: what went wrong, where, and what to do about it.
// Thrown for whatever ends a command; expected outcomes (a dropped file, a timed-out sample) are values.
#pragma once

#include <fmt/core.h>

#include <exception>
#include <string>
#include <utility>

namespace retrace {

// Each code has one exit status (exit_status below); README lists them.
enum class Code {
  internal,     // 1: a bug of ours
  usage,        // 2: command line
  recipe,       // 2: recipe file, key or value
  input,        // 3: a file that the user named is missing or of the wrong kind
  corrupt,      // 3: a file of a known format that breaks its rules
  incomplete,   // 4: finished, but an item asked for has no result, or a budget is spent
  io,           // 75: disk full, read error, another holder of a run folder
  network,      // 75: endpoint gone
  distributed,  // 75: a rank was lost or disagrees
  numeric,      // 1: non-finite values that training cannot go on from
  interrupted,  // 130 or 143: see Error::signal
};

const char* code_name(Code code);
int exit_status(Code code);

class Error : public std::exception {
 public:
  // `where` is a file:line:col, a rank, a step or a key; `hint` says what to do. Both may be empty.
  Error(Code code, std::string message, std::string hint = "", std::string where = "");
  Error(const Error&) = default;
  Error(Error&&) = default;
  Error& operator=(const Error&) = default;
  Error& operator=(Error&&) = default;
  ~Error() override;
  const char* what() const noexcept override;
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  const std::string& where() const { return where_; }
  // Adds an outer place ("shard 3 of data/") in front of `where` and returns itself, for rethrowing.
  Error& in(const std::string& place);
  int status() const;
  int signal = 0;  // for Code::interrupted: SIGINT or SIGTERM

 private:
  void compose();
  Code code_;
  std::string message_, hint_, where_, text_;
};

[[noreturn]] void fail_with(Code code, fmt::string_view format, fmt::format_args args);

// fail(Code::input, "no such folder: {}", path): throws an Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  fail_with(code, format, fmt::make_format_args(args...));
}

// For our own invariants only, never for input: throws Code::internal.
void ensure(bool condition, const char* what_must_hold);

}  // namespace retrace
