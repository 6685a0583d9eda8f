#include "core/files/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <random>

#include "core/error.h"
#include "core/log.h"

namespace retrace {

namespace {

constexpr std::string_view kTempPrefix = ".retrace-tmp-";

void before(const char* operation, const fs::path& path) {
  announce_file_operation(operation, path);
}

void done(const char* operation, const fs::path& path) {
  note_file_operation({operation, path});
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_retrying(const fs::path& path, int flags, mode_t mode = 0) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

int open_or_fail(const fs::path& path, int flags, const char* doing, mode_t mode = 0) {
  const int fd = open_retrying(path, flags, mode);
  if (fd < 0) fail_with_errno(doing, path, errno);
  return fd;
}

// All bytes, or the errno that stopped it.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

void sync_descriptor(int fd, const fs::path& path) {
  before("fsync", path);
  if (::fsync(fd) != 0) fail_with_errno("fsync", path, errno);
  done("fsync", path);
}

fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

// A name in the same folder that no other process, here or on another host, is using.
fs::path temp_name(const fs::path& path) {
  static std::atomic<uint64_t> counter{0};
  thread_local std::random_device device;
  return parent_of(path) / fmt::format("{}{:08x}{:08x}-{}-{}", kTempPrefix, device(), device(), ::getpid(),
                                       counter.fetch_add(1));
}

// Cuts the file back to just after its last newline; returns how many bytes that took away.
off_t drop_torn_line(int fd, const fs::path& path) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  if (size < 0) fail_with_errno("look at", path, errno);
  off_t keep = size;
  char piece[4096];
  while (keep > 0) {
    const off_t start = std::max<off_t>(0, keep - static_cast<off_t>(sizeof piece));
    const ssize_t got = ::pread(fd, piece, static_cast<size_t>(keep - start), start);
    if (got != keep - start) fail_with_errno("read", path, got < 0 ? errno : EIO);
    ssize_t i = got;
    while (i > 0 && piece[i - 1] != '\n') --i;
    keep = start + i;
    if (i > 0) break;
  }
  if (keep == size) return 0;
  before("write", path);
  if (::ftruncate(fd, keep) != 0) fail_with_errno("shorten", path, errno);
  note_file_operation({"truncate", path, nullptr, {}, static_cast<uint64_t>(keep)});
  return size - keep;
}

}  // namespace

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  before("open", path);
  const Descriptor file(open_or_fail(path, O_RDONLY, "open"));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_with_errno("look at", path, errno);
  if (S_ISDIR(status.st_mode)) fail(Code::input, "{} is a folder, not a file", path.string());
  const auto too_large = [&] { fail(Code::corrupt, "{} has more than {} bytes", path.string(), max_bytes); };
  std::string bytes;
  if (S_ISREG(status.st_mode)) {
    if (static_cast<uint64_t>(status.st_size) > max_bytes) too_large();
    bytes.reserve(static_cast<size_t>(status.st_size) + 1);
  }
  constexpr size_t kPieceBytes = size_t{1} << 20;
  while (true) {
    const size_t have = bytes.size();
    const size_t room = std::max(bytes.capacity() - have, size_t{4096});
    bytes.resize(have + std::min(room, kPieceBytes));
    ssize_t got;
    do got = ::read(file.get(), bytes.data() + have, bytes.size() - have);
    while (got < 0 && errno == EINTR);
    if (got < 0) fail_with_errno("read", path, errno);
    bytes.resize(have + static_cast<size_t>(got));
    if (got == 0) return bytes;
    if (bytes.size() > max_bytes) too_large();
  }
}

void write_file(const fs::path& path, std::string_view bytes) {
  StagedFile file(path);
  file.write(bytes);
  file.commit();
}

void publish_file(const fs::path& path, std::string_view bytes) {
  StagedFile file(path);
  file.write(bytes);
  file.publish();
}

StagedFile::StagedFile(const fs::path& path) : path_(path) {
  if (path.filename().empty()) fail(Code::input, "'{}' does not name a file", path.string());
  make_folders(parent_of(path));
  temp_ = temp_name(path);
  before("open", temp_);
  fd_ = open_or_fail(temp_, O_WRONLY | O_CREAT | O_EXCL, "create", 0666);
  done("create", temp_);
}

StagedFile::~StagedFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temp_.empty() && ::unlink(temp_.c_str()) == 0) done("unlink", temp_);
}

void StagedFile::write(std::string_view bytes) {
  ensure(fd_ >= 0, "a staged file is written before its commit");
  before("write", temp_);
  if (const int number = write_all(fd_, bytes); number != 0) fail_with_errno("write", path_, number);
  note_file_operation({"write", temp_, nullptr, bytes});
  size_bytes_ += bytes.size();
}

void StagedFile::commit() {
  ensure(fd_ >= 0, "a staged file is committed once");
  sync_descriptor(fd_, temp_);
  publish();
  sync_folder(parent_of(path_));
}

void StagedFile::publish() {
  ensure(fd_ >= 0, "a staged file is published once");
  // Some network file systems report a failed write only here.
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) fail_with_errno("close", path_, errno);
  before("rename", path_);
  if (::rename(temp_.c_str(), path_.c_str()) != 0) fail_with_errno("rename to", path_, errno);
  note_file_operation({"rename", path_, &temp_});
  temp_.clear();
}

AppendFile::AppendFile(const fs::path& path, Content content) : path_(path) {
  make_folders(parent_of(path));
  before("open", path);
  const bool existed = fs::exists(path);
  Descriptor file(open_or_fail(path, O_RDWR | O_CREAT | O_APPEND, "open", 0666));
  const off_t dropped = content == Content::lines ? drop_torn_line(file.get(), path) : 0;
  if (dropped > 0)
    warn("{}: dropped {} bytes of a last line that a killed writer left unfinished", path.string(), dropped);
  if (!existed) {
    done("create", path);
    sync_folder(parent_of(path));
  }
  fd_ = file.release();
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

void AppendFile::line(std::string_view text) {
  ensure(text.find('\n') == std::string_view::npos, "a line has no newline inside");
  append(std::string(text) + '\n');
}

void AppendFile::bytes(std::string_view text) {
  append(text);
}

void AppendFile::append(std::string_view text) {
  std::lock_guard lock(mutex_);
  before("write", path_);
  const off_t end = ::lseek(fd_, 0, SEEK_END);
  if (end < 0) fail_with_errno("look at", path_, errno);
  const int number = write_all(fd_, text);
  if (number == 0) return note_file_operation({"write", path_, nullptr, text});
  if (::ftruncate(fd_, end) != 0) warn("{}: a torn last line could not be removed", path_.string());
  fail_with_errno("append to", path_, number);
}

void AppendFile::sync() {
  std::lock_guard lock(mutex_);
  sync_descriptor(fd_, path_);
}

void make_folders(const fs::path& path) {
  std::error_code error;
  if (path.empty() || fs::is_directory(path, error)) return;
  const fs::path parent = path.parent_path();
  if (!path.has_filename()) return make_folders(parent);  // "a/b/"
  make_folders(parent);
  before("mkdir", path);
  if (::mkdir(path.c_str(), 0777) == 0) {
    done("mkdir", path);
    sync_folder(parent_of(path));
  } else if (errno != EEXIST || !fs::is_directory(path, error)) {
    fail_with_errno("make the folder", path, errno);
  }
}

void remove_file(const fs::path& path) {
  before("unlink", path);
  if (::unlink(path.c_str()) == 0) return done("unlink", path);
  if (errno != ENOENT) fail_with_errno("remove", path, errno);
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(path, error))) return remove_file(path);
  for (const std::string& name : list_folder(path)) remove_tree(path / name);
  before("rmdir", path);
  if (::rmdir(path.c_str()) == 0) return done("rmdir", path);
  if (errno != ENOENT) fail_with_errno("remove the folder", path, errno);
}

void remove_temp_files(const fs::path& path) {
  for (const std::string& name : list_folder(path))
    if (name.starts_with(kTempPrefix)) remove_file(path / name);
}

void rename_durably(const fs::path& from, const fs::path& to) {
  before("rename", to);
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail_with_errno(fmt::format("rename {} to", from.string()).c_str(), to, errno);
  note_file_operation({"rename", to, &from});
  sync_folder(parent_of(to));
  if (parent_of(from) != parent_of(to)) sync_folder(parent_of(from));
}

void sync_folder(const fs::path& path) {
  before("fsync_folder", path);
  const Descriptor folder(open_or_fail(path, O_RDONLY | O_DIRECTORY, "open the folder"));
  // EINVAL and ENOTSUP: a file system whose folders cannot be synced.
  if (::fsync(folder.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
    fail_with_errno("fsync the folder", path, errno);
  done("fsync_folder", path);
}

std::vector<std::string> list_folder(const fs::path& path) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) fail_with_errno("list the folder", path, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

MappedFile::MappedFile(const fs::path& path) {
  before("open", path);
  const Descriptor file(open_or_fail(path, O_RDONLY, "open"));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_with_errno("look at", path, errno);
  if (!S_ISREG(status.st_mode)) fail(Code::input, "{} is not a regular file", path.string());
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) fail_with_errno("map", path, errno);
  data_ = static_cast<const char*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

}  // namespace retrace
