#include "core/ranks/lock_file.h"
#include "core/text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <random>

#include "core/error.h"
#include "core/files/files.h"
#include "core/json.h"
#include "core/poll.h"
#include "core/process/process.h"

namespace retrace {

namespace {

constexpr size_t kBeatDigits = 12;
constexpr std::string_view kBeatMark = "\"beat\": \"";

const std::string& boot_id() {
  static const std::string id = first_line(read_file("/proc/sys/kernel/random/boot_id", 4096));
  return id;
}

// Two containers of one host share the boot but not the process numbers.
const std::string& process_namespace() {
  static const std::string id = [] {
    std::error_code error;
    return fs::read_symlink("/proc/self/ns/pid", error).string();
  }();
  return id;
}

// Field 22 of /proc/PID/stat; 0 if there is no such process. A zombie has ended.
uint64_t start_ticks(int64_t pid) {
  std::string stat;
  try {
    stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  } catch (const Error&) {
    return 0;
  }
  const size_t after_name = stat.rfind(')');  // the name may hold blanks and brackets
  if (after_name == std::string::npos || after_name + 2 >= stat.size()) return 0;
  const char state = stat[after_name + 2];
  if (state == 'Z' || state == 'X') return 0;
  const char* rest = stat.c_str() + after_name + 2;
  for (int field = 3; field < 22 && rest != nullptr; ++field) {
    rest = std::strchr(rest, ' ');
    if (rest != nullptr) ++rest;
  }
  return rest == nullptr ? 0 : std::strtoull(rest, nullptr, 10);
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string random_token() {
  static std::atomic<uint64_t> counter{0};
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}-{}", device(), device(), device(), counter.fetch_add(1));
}

std::string own_text() {
  Json owner;
  owner["host"] = host_name();
  owner["boot_id"] = boot_id();
  owner["process_namespace"] = process_namespace();
  owner["pid"] = ::getpid();
  owner["start_time_ticks"] = start_ticks(::getpid());
  owner["started"] = utc_now();
  owner["token"] = random_token();
  owner["beat"] = std::string(kBeatDigits, '0');
  return to_text(owner, 1) + "\n";
}

Json parse_owner(const std::string& text) {
  try {
    return parse_json(text, "lock file");
  } catch (const Error&) {
    return nullptr;
  }
}

[[noreturn]] void fail_lock(const char* doing, const fs::path& path) {
  throw Error(Code::io, fmt::format("cannot {} the lock {}: {}", doing, path.string(), std::strerror(errno)));
}

int open_exclusively(const fs::path& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return -1;
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    const int number = errno;
    ::unlink(path.c_str());
    ::close(fd);
    errno = number == 0 ? ENOSPC : number;
    fail_lock("write", path);
  }
  return fd;
}

}  // namespace

LockFile::LockFile(fs::path path, int fd, std::string text)
    : path_(std::move(path)), fd_(fd), text_(std::move(text)) {}

LockFile::LockFile(LockFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      text_(std::move(other.text_)),
      beats_(other.beats_) {}

LockFile::~LockFile() {
  if (fd_ < 0) return;
  const Json owner = parse_owner(text_);
  const bool same_process = owner.is_object() && get_or<int64_t>(owner, "pid", 0, "lock file") == ::getpid();
  if (same_process && still_ours()) ::unlink(path_.c_str());
  ::close(fd_);
}

std::optional<LockFile> LockFile::try_create(const fs::path& path) {
  announce_file_operation("open", path);
  std::string text = own_text();
  const fs::path temp = path.parent_path() / (".retrace-tmp-lock-" + random_token());
  const int fd = open_exclusively(temp, text);
  if (fd < 0) fail_lock("create", temp);
  int linked = ::link(temp.c_str(), path.c_str());
  const int number = errno;
  struct stat status {};
  // NFS may report a link as failed although it was made: the link count tells.
  if (linked != 0 && ::fstat(fd, &status) == 0 && status.st_nlink == 2) linked = 0;
  ::unlink(temp.c_str());
  if (linked == 0) return LockFile(path, fd, std::move(text));
  ::close(fd);
  if (number == EEXIST) return std::nullopt;
  if (number != EPERM && number != ENOTSUP && number != ENOSYS && number != EMLINK) {
    errno = number;
    fail_lock("create", path);
  }
  const int exclusive = open_exclusively(path, text);  // a file system without hard links
  if (exclusive >= 0) return LockFile(path, exclusive, std::move(text));
  if (errno == EEXIST) return std::nullopt;
  fail_lock("create", path);
}

bool LockFile::still_ours() const {
  struct stat by_name {
  }, by_handle{};
  return ::stat(path_.c_str(), &by_name) == 0 && ::fstat(fd_, &by_handle) == 0 &&
         by_name.st_ino == by_handle.st_ino && by_name.st_dev == by_handle.st_dev;
}

void LockFile::beat() {
  const std::string count = fmt::format("{:0{}}", ++beats_, kBeatDigits);
  const size_t at = text_.find(kBeatMark) + kBeatMark.size();
  announce_file_operation("write", path_);
  // Through the handle: a lock that was taken over meanwhile is not touched.
  if (::pwrite(fd_, count.data(), count.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(count.size()))
    fail_lock("renew", path_);
  if (::fsync(fd_) != 0) fail_lock("renew", path_);
}

std::optional<LockContent> LockFile::read(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return std::nullopt;
  if (fd < 0) fail_lock("open", path);
  struct stat status {};
  char buffer[4096];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  const bool known = got >= 0 && ::fstat(fd, &status) == 0;
  ::close(fd);
  if (!known) fail_lock("read", path);
  constexpr int64_t kNanoseconds = 1'000'000'000;
  return LockContent{std::string(buffer, static_cast<size_t>(got)),
                     status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec};
}

OwnerState LockFile::owner_state(const std::string& text) {
  const Json owner = parse_owner(text);
  if (!owner.is_object()) return OwnerState::unknown;
  const auto text_of = [&](const char* key) { return owner.value(key, std::string()); };
  try {
    if (text_of("boot_id") != boot_id() || text_of("process_namespace") != process_namespace())
      return OwnerState::unknown;
    const auto pid = get<int64_t>(owner, "pid", "lock file");
    const auto ticks = get<uint64_t>(owner, "start_time_ticks", "lock file");
    return start_ticks(pid) == ticks && ticks != 0 ? OwnerState::alive : OwnerState::gone;
  } catch (const std::exception&) {  // written by somebody else
    return OwnerState::unknown;
  }
}

std::string LockFile::owner_text(const std::string& text) {
  const Json owner = parse_owner(text);
  try {
    return fmt::format("process {} on host {}, since {}", get<int64_t>(owner, "pid", "lock file"),
                       get<std::string>(owner, "host", "lock file"),
                       get<std::string>(owner, "started", "lock file"));
  } catch (const Error&) {
    return "an unknown process";
  }
}

// Breakers take turns by a second lock. A breaker that died in its few system calls leaves that one behind;
// it is then broken without a third, which only fails to be exclusive if two processes lose the same race
// twice.
void LockFile::break_stale(const fs::path& path, const LockContent& seen) {
  fs::path guard_path = path;
  guard_path += ".break";
  const std::optional<LockFile> guard = try_create(guard_path);
  if (!guard) {
    const auto content = read(guard_path);
    constexpr double kBreakerPatience_s = 10, kLookPeriod_s = 0.1;
    if (!content) return;
    if (owner_state(content->text) == OwnerState::unknown) {
      const bool changed = poll_until({kBreakerPatience_s, kLookPeriod_s, kLookPeriod_s},
                                      [&] { return read(guard_path) != content; });
      if (changed) return;
      ::unlink(guard_path.c_str());
    } else if (owner_state(content->text) == OwnerState::gone) {
      ::unlink(guard_path.c_str());
    }
    return;
  }
  if (read(path) != seen) return;
  fs::path tomb = path;
  tomb += ".stale-" + random_token();
  if (::rename(path.c_str(), tomb.c_str()) != 0) return;
  const auto moved = read(tomb);
  if (moved && moved->text != seen.text)
    (void)!::link(tomb.c_str(), path.c_str());  // a live one: put it back
  ::unlink(tomb.c_str());
}

}  // namespace retrace
