#include "core/log.h"

#include <unistd.h>

#include <cmath>
#include <ctime>
#include <mutex>

#include "core/log_output.h"
#include "core/text.h"

namespace retrace {

namespace {

LogOptions options;

std::string one_line(const std::string& text) {
  std::string out;
  bool space = false;
  for (char c : utf8_lossy(text)) {
    const bool blank = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (blank) {
      space = true;
      continue;
    }
    if (space && !out.empty() && out.back() != ' ' && c != ' ') out += ' ';
    space = false;
    out += c;
  }
  return out;
}

std::string clock_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return fmt::format("{:02}:{:02}:{:02} ", local.tm_hour, local.tm_min, local.tm_sec);
}

const char* label(Level level) {
  switch (level) {
    case Level::debug:
      return "debug: ";
    case Level::info:
      return "";
    case Level::warning:
      return "warning: ";
    case Level::error:
      return "error: ";
  }
  return "";
}

const char* colour(Level level) {
  switch (level) {
    case Level::debug:
      return "\033[2m";
    case Level::info:
      return "";
    case Level::warning:
      return "\033[33m";
    case Level::error:
      return "\033[31m";
  }
  return "";
}

}  // namespace

void set_log_options(const LogOptions& new_options) {
  std::lock_guard lock(log_output::mutex());
  options = new_options;
}

const LogOptions& log_options() {
  return options;
}

void log_line(Level level, const std::string& text) {
  std::lock_guard lock(log_output::mutex());
  if (level < options.level) return;
  if (options.rank > 0 && level < Level::warning) return;
  std::string line = options.terminal ? "" : clock_text();
  if (options.rank > 0) line += fmt::format("[rank {}] ", options.rank);
  const bool coloured = log_output::colours() && *colour(level) != 0;
  if (coloured) line += colour(level);
  line += label(level);
  if (coloured) line += "\033[0m";
  log_output::print_line(line + one_line(text));
}

void log_formatted(Level level, fmt::string_view format, fmt::format_args args) {
  log_line(level, fmt::vformat(format, args));
}

void print_failure(const std::string& message, const std::string& hint) {
  std::lock_guard lock(log_output::mutex());
  const std::string rank = options.rank > 0 ? fmt::format("[rank {}] ", options.rank) : "";
  const bool coloured = log_output::colours();
  log_output::print_line(rank + (coloured ? "\033[31merror:\033[0m " : "error: ") + one_line(message));
  if (!hint.empty()) log_output::print_line(rank + "  hint: " + one_line(hint));
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<int64_t>(std::min(std::round(seconds), 1e15));
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

std::string format_count(double count) {
  if (!std::isfinite(count)) return "?";
  if (std::abs(count) < 999.5) {
    const bool whole = count == std::floor(count) || std::abs(count) >= 99.95;
    return whole ? fmt::format("{:.0f}", count) : fmt::format("{:.1f}", count);
  }
  const char* const names[] = {"k", "M", "G", "T", "P"};
  size_t i = 0;
  double scaled = count / 1000;
  while (std::abs(scaled) >= 999.95 && i + 1 < std::size(names)) {
    scaled /= 1000;
    ++i;
  }
  return fmt::format("{:.1f}{}", scaled, names[i]);
}

std::string format_bytes(uint64_t size_bytes) {
  if (size_bytes < 1024) return fmt::format("{} B", size_bytes);
  const char* const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t i = 0;
  double scaled = static_cast<double>(size_bytes) / 1024;
  while (scaled >= 1023.95 && i + 1 < std::size(names)) {
    scaled /= 1024;
    ++i;
  }
  return fmt::format("{:.1f} {}", scaled, names[i]);
}

}  // namespace retrace
