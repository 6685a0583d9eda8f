#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <thread>

#include "core/clock.h"
#include "core/log.h"
#include "core/log_output.h"
#include "core/text.h"

namespace retrace {

namespace log_output {

namespace {

std::string live_line;

// One write(2) a line keeps the lines of several ranks whole.
void write_to_stderr(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nowhere left to say it
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

size_t terminal_columns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

std::recursive_mutex& mutex() {
  static std::recursive_mutex the_mutex;
  return the_mutex;
}

bool colours() {
  const char* no_color = std::getenv("NO_COLOR");
  return log_options().terminal && (no_color == nullptr || *no_color == 0);
}

void print_line(const std::string& line) {
  if (live_line.empty()) {
    write_to_stderr(line + "\n");
  } else {
    write_to_stderr("\r\033[K" + line + "\n" + live_line);
  }
}

void show_live_line(const std::string& line) {
  if (line.empty() && live_line.empty()) return;
  live_line = shorten(line, terminal_columns() - 1);
  write_to_stderr("\r\033[K" + live_line);
}

}  // namespace log_output

namespace {

// What is slow is told by the minute or by the hour.
std::string rate_text(double per_second, const std::string& unit) {
  if (per_second >= 0.1 || per_second <= 0) return format_count(per_second) + " " + unit + "/s";
  if (per_second >= 0.1 / 60) return format_count(per_second * 60) + " " + unit + "/min";
  return format_count(per_second * 3600) + " " + unit + "/h";
}

constexpr std::chrono::milliseconds kSilent{2000}, kLivePeriod{250}, kPlainPeriod{15000};

}  // namespace

struct Progress::State {
  std::string what, unit;
  uint64_t total = 0;
  Clock::time_point start = Clock::now();
  std::atomic<uint64_t> done{0};
  std::atomic<double> part{0};
  std::mutex mutex;  // guards note and stop
  std::condition_variable wake;
  std::string note;
  bool stop = false, printed = false;
  std::thread printer;

  std::string line() {
    const double count = static_cast<double>(done.load()) + part.load(), seconds = elapsed_s(start);
    const double rate = seconds > 0 ? count / seconds : 0;
    std::string text = fmt::format("{}: {}", what, format_count(count));
    if (total > 0)
      text += fmt::format("/{} {} ({:.0f}%)", format_count(static_cast<double>(total)), unit,
                          100 * count / static_cast<double>(total));
    else
      text += " " + unit;
    text += ", " + rate_text(rate, unit);
    if (total > 0 && count > 0 && count < static_cast<double>(total))
      text += ", ETA " + format_duration((static_cast<double>(total) - count) / rate);
    return with_note(text);
  }

  std::string closing_line() {
    const double count = static_cast<double>(done.load()), seconds = elapsed_s(start);
    return with_note(fmt::format("{}: {} {} in {} ({})", what, format_count(count), unit,
                                 format_duration(seconds),
                                 rate_text(seconds > 0 ? count / seconds : 0, unit)));
  }

  std::string with_note(std::string text) {
    std::lock_guard lock(mutex);
    return note.empty() ? text : text + ", " + note;
  }

  void print_until_stopped() {
    const bool terminal = log_options().terminal;
    std::unique_lock lock(mutex);
    auto pause = kSilent;
    while (!wake.wait_for(lock, pause, [&] { return stop; })) {
      lock.unlock();
      const std::string text = line();
      {
        std::lock_guard output(log_output::mutex());
        if (terminal)
          log_output::show_live_line(text);
        else
          log_line(Level::info, text);
      }
      lock.lock();
      printed = true;
      pause = terminal ? kLivePeriod : kPlainPeriod;
    }
  }
};

Progress::Progress(std::string what, uint64_t total, std::string unit) : state_(std::make_unique<State>()) {
  state_->what = std::move(what);
  state_->unit = std::move(unit);
  state_->total = total;
  const LogOptions& options = log_options();
  if (options.rank == 0 && options.level <= Level::info)
    state_->printer = std::thread([state = state_.get()] { state->print_until_stopped(); });
}

Progress::~Progress() {
  if (!state_->printer.joinable()) return;
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  state_->printer.join();
  if (!state_->printed) return;
  std::lock_guard output(log_output::mutex());
  if (log_options().terminal) log_output::show_live_line("");
  log_line(Level::info, state_->closing_line());
}

void Progress::add(uint64_t amount) {
  state_->done.fetch_add(amount, std::memory_order_relaxed);
}

void Progress::part(double amount) {
  state_->part.store(amount, std::memory_order_relaxed);
}

void Progress::note(const std::string& text) {
  std::lock_guard lock(state_->mutex);
  state_->note = text;
}

}  // namespace retrace
