// Human output: one line a message on stderr, rank 0 only unless asked; a live line on a terminal.
#pragma once

#include <fmt/core.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace retrace {

enum class Level { debug, info, warning, error };

struct LogOptions {
  Level level = Level::info;  // -v: debug, -q: warning
  int rank = 0;               // ranks above 0 print warnings and errors only, with "[rank N]" in front
  bool terminal = false;      // stderr is a terminal: colours (unless NO_COLOR) and live progress
};

void set_log_options(const LogOptions& options);
const LogOptions& log_options();
// Thread-safe. Always one line: line breaks and control characters in `text` become spaces.
void log_line(Level level, const std::string& text);
void log_formatted(Level level, fmt::string_view format, fmt::format_args args);
// How a command ends badly: "error: MESSAGE" and "  hint: HINT", without a time, on every rank.
void print_failure(const std::string& message, const std::string& hint);

template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  log_formatted(Level::info, format, fmt::make_format_args(args...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  log_formatted(Level::debug, format, fmt::make_format_args(args...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  log_formatted(Level::warning, format, fmt::make_format_args(args...));
}

// Progress of long work: silent for the first two seconds; then a live line on a terminal (4 a second) or a
// plain line every 15 s elsewhere, with rate and ETA. Rank 0 only, silent under -q. Thread-safe. A thread of
// its own prints, so that one long item shows too.
class Progress {
 public:
  // unit: "files", "tokens", ...; total 0 = unknown.
  Progress(std::string what, uint64_t total, std::string unit);
  ~Progress();  // finishes the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void add(uint64_t amount = 1);
  void part(double amount);            // of what is under way: counted beside what is done
  void note(const std::string& text);  // shown at the end of the line, e.g. "loss 3.21"

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string format_duration(double seconds);    // 2h03m, 4m05s, 12.3s
std::string format_count(double count);         // 12.1k, 3.4M
std::string format_bytes(uint64_t size_bytes);  // 3.4 MiB

}  // namespace retrace
