#include "train/ranks/last_words.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <ctime>

#include "core/cli/launcher_error.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/json.h"
#include "core/log.h"

namespace retrace::train {
namespace {

constexpr std::array kFatal = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

std::array<char, 4096> path_text{};  // of fixed place and size, for a signal handler
std::atomic<int> own_rank{0};
std::atomic<int64_t> last_step{-1};
std::atomic<const char*> last_phase{"start"};
std::atomic<bool> prepared{false}, said{false};

// What a signal handler may do: no allocation, no locks.
class SafeText {
 public:
  SafeText& operator<<(const char* text) {
    while (*text && size_ + 1 < buffer_.size()) buffer_[size_++] = *text++;
    return *this;
  }
  SafeText& operator<<(int64_t number) {
    std::array<char, 24> digits{};
    size_t at = digits.size() - 1;
    const bool negative = number < 0;
    do {
      const auto digit = number % 10;
      digits[--at] = static_cast<char>('0' + (digit < 0 ? -digit : digit));
      number /= 10;
    } while (number != 0);
    if (negative) digits[--at] = '-';
    return *this << digits.data() + at;
  }
  void write_to(int fd) const {
    size_t done = 0;
    while (done < size_) {
      const ssize_t n = ::write(fd, buffer_.data() + done, size_ - done);
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
  }

 private:
  std::array<char, 1024> buffer_{};
  size_t size_ = 0;
};

void on_fatal(int number) {
  if (!said.exchange(true)) {
    const int fd = ::open(path_text.data(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd >= 0) {
      SafeText text;
      text << "{\"rank\":" << static_cast<int64_t>(own_rank.load()) << ",\"step\":" << last_step.load()
           << ",\"phase\":\"" << last_phase.load() << "\",\"reason\":\"killed by signal "
           << static_cast<int64_t>(number) << "\",\"time_s\":" << static_cast<int64_t>(::time(nullptr))
           << "}\n";
      text.write_to(fd);
      ::close(fd);
    }
  }
  ::raise(number);  // SA_RESETHAND: now it ends the process
}

}  // namespace

void prepare_last_words(const fs::path& run_folder, int rank) {
  const std::string path =
      fs::absolute(run_folder / fmt::format("last-words-{}.json", rank)).lexically_normal().string();
  if (path.size() >= path_text.size()) fail(Code::input, "the run folder's path is too long: {}", path);
  std::memcpy(path_text.data(), path.c_str(), path.size() + 1);
  own_rank = rank;
  said = false;
  remove_file(path);
  for (const int number : kFatal) {
    struct sigaction action {};
    action.sa_handler = on_fatal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ensure(::sigaction(number, &action, nullptr) == 0, "a signal handler can be installed");
  }
  set_launcher_facts([] { return Json{{"step", last_step.load()}, {"phase", last_phase.load()}}; });
  prepared = true;
}

void set_last_activity(int64_t step, const char* phase) {
  last_step = step;
  last_phase = phase;
}

void write_last_words(const std::string& reason) noexcept {
  if (!prepared || said.exchange(true)) return;
  try {
    const Json words = {{"rank", own_rank.load()},
                        {"step", last_step.load()},
                        {"phase", last_phase.load()},
                        {"reason", reason},
                        {"time_s", static_cast<int64_t>(::time(nullptr))}};
    publish_file(path_text.data(), to_text(words) + "\n");
  } catch (const std::exception& problem) {
    log_line(Level::warning, fmt::format("cannot write last words: {}", problem.what()));
  }
}

}  // namespace retrace::train
